# Each SQL block of docs/ runs, after those before it in its document; what is shown
# as its output is what it prints.

use strict;
use warnings;

use lib 'test/server';

use Blocks qw(blocks shown);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

# A document says in its beginning what its examples work on. The reference begins
# with an empty database.
my $steps = slurp_file('examples/steps.sql');
my %documents = map { $_ => $steps } glob('docs/*.md');
$documents{'docs/operations.md'} .= slurp_file('examples/incidents.sql');
$documents{'docs/reference.md'} = '';

# More of Tasker's tables, as far as the document asks them
$documents{'docs/tasker.md'} .= q{
CREATE TABLE tasker.task_namespaces (
	task_namespace_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL UNIQUE);
CREATE TABLE tasker.named_tasks (
	named_task_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL,
	task_namespace_uuid uuid NOT NULL REFERENCES tasker.task_namespaces);
ALTER TABLE tasker.tasks ADD COLUMN named_task_uuid uuid NOT NULL REFERENCES tasker.named_tasks;
CREATE TABLE tasker.workflow_step_transitions (
	workflow_step_uuid uuid NOT NULL REFERENCES tasker.workflow_steps, from_state varchar, to_state varchar NOT NULL,
	sort_key integer NOT NULL, most_recent boolean NOT NULL,
	created_at timestamp NOT NULL DEFAULT now(), updated_at timestamp NOT NULL DEFAULT now());
};

foreach my $document (sort keys %documents)
{
	my @blocks = blocks($document, 'sql') or next;
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
	my $script = join('', map { "$_->{code}\n\\echo $mark\n" } @blocks);
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
		ok(shown($block->{output}, $output), "$block->{name} prints what it shows")
		  or diag("printed:\n", $output, "shown:\n", $block->{output});
	}
	ok($ok, "$document: psql ends well");
	$node->stop;
}

done_testing();
