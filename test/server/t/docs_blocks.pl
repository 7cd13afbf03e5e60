# Each SQL block of README.md and of docs/ runs, after those before it in its
# document; what is shown as its output is what it prints.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

# A document says in its beginning what its examples work on. The README begins
# with an empty database.
my $steps = slurp_file('examples/steps.sql');
my %documents = map { $_ => $steps } glob('docs/*.md');
$documents{'docs/operations.md'} .= slurp_file('examples/incidents.sql');
$documents{'README.md'} = '';

# The SQL blocks of a document, each with the output that it shows, if a block of
# text follows at once.
sub blocks
{
	my ($document) = @_;
	my $text = slurp_file($document);
	my @blocks;

	while ($text =~ /^( *)```sql\n(.*?)^\1```\n(?:\n```text\n(.*?)^```$)?/msg)
	{
		my ($sql, $output) = ($2, $3);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		push @blocks, { name => "$document:$line", sql => $sql, output => $output };
	}
	is(scalar(@blocks), scalar(() = $text =~ /^\s*```+\s*sql/mgi), "$document: blocks are found");
	return @blocks;
}

# What a document shows has no blanks at the ends of lines, no empty lines, and
# no line numbers of psql's.
sub bare
{
	my ($output) = @_;

	$output =~ s/^psql:<stdin>:\d+: //mg;
	$output =~ s/ +$//mg;
	$output =~ s/^\n//mg;
	return $output;
}

foreach my $document (sort keys %documents)
{
	my @blocks = blocks($document) or next;
	my $node = PostgreSQL::Test::Cluster->new($document =~ s/\W/_/gr);
	my ($printed, $mark) = ('', 'end of block');

	$node->init;
	$node->append_conf('postgresql.conf', q{
log_statement = none
shared_preload_libraries = tasker_checkpoint
});
	$node->start;
	$node->safe_psql('postgres', $documents{$document});

	# In one session, which the first error ends.
	my $script = join('', map { "$_->{sql}\n\\echo $mark\n" } @blocks);
	my $ok = IPC::Run::run(
		[ 'psql', '-X', '-q', '-P', 'footer=off', '-v', 'ON_ERROR_STOP=1', '-f', '-',
			'-d', $node->connstr('postgres') ],
		'<', \$script, '>&', \$printed, $timeout);
	my @printed = split(/^$mark\n/m, $printed, -1);
	foreach my $block (@blocks)
	{
		my $output = shift @printed;

		ok(@printed > 0, "$block->{name} runs") or diag($output // 'not reached');
		next unless defined $block->{output} && @printed > 0;
		ok(index(bare($output), bare($block->{output})) >= 0, "$block->{name} prints what it shows")
		  or diag("printed:\n", $output, "shown:\n", $block->{output});
	}
	ok($ok, "$document: psql ends well");
	$node->stop;
}

done_testing();
