# The README's quickstart runs as it stands: a job whose worker is killed is ended by
# another one, and each row is there once.

use strict;
use warnings;

use lib 'test/server';

use Blocks qw(blocks shown);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The application logs in as on Debian: by TCP, at the port that PGPORT names.
my $node = PostgreSQL::Test::Cluster->new('quickstart');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = 'localhost'");
$node->start;
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;

# Ends what a block has left in the background, too, if it takes too long.
my @shell = ('timeout', $PostgreSQL::Test::Utils::timeout_default, 'sh', '-e');

# What the server's packages and make install do was done by who runs this.
my $installs = qr/^(?:sudo .*|make)\n/m;

# A block gets what it is typed into on its standard input. Those of SQL are one
# session of psql until something else comes.
my @blocks = blocks('README.md', 'sh', 'sql', 'python');
my $printed = '';
while (my $block = shift @blocks)
{
	my $code = $block->{code};
	if ($block->{language} eq 'python')
	{
		append_to_file('worker.py', $code);
		next;
	}
	if ($block->{language} eq 'sql')
	{
		$code .= (shift @blocks)->{code} while @blocks && $blocks[0]{language} eq 'sql';
	}
	$code =~ s/$installs//g;
	my @program = $block->{language} eq 'sql' ? ('psql', '-X', '-v', 'ON_ERROR_STOP=1', 'shop') : @shell;
	ok(IPC::Run::run(\@program, '<', \$code, '>&', \$printed), "$block->{name} runs")
	  or diag($printed), last;
	ok(shown($block->{output}, $printed), "$block->{name} prints what it shows") or diag($printed)
	  if defined $block->{output};

	# What a dead worker leaves
	next unless $printed =~ /percent.*\n.*\n([^\n]*)/;
	my ($items, $total, $percent, $eta, $state) = map { s/^\s+|\s+$//gr } split(/\|/, $1);
	cmp_ok($percent, '>', 62, 'what it did is there');
	cmp_ok($percent, '<', 100, 'and not the rest');
	ok($node->poll_query_until('shop', qq{
		SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'app'}), 'its sessions end');
	is($node->safe_psql('shop', 'SELECT count(*) FROM invoices'), $items, 'a row for each item');
}
is($node->safe_psql('shop', q{
	SELECT (SELECT count(*) FROM orders), count(*), count(DISTINCT order_id), (SELECT count(*) FROM tasker_checkpoint_events) FROM invoices}),
	'100000|100000|100000|0', 'each order has one invoice, and nothing is left to do');
unlink 'worker.py';

$node->stop;
done_testing();
