# examples/watch.sql shows the steps, those that need somebody on top, once or
# again and again.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $node = PostgreSQL::Test::Cluster->new('watch');
$node->init;
$node->start;

# Lines of a table as arrays of what is in its columns.
sub cells
{
	return map { [ map { s/^ +| +$//gr } split(/\|/, $_, -1) ] } grep { /\|/ } split(/\n/, $_[0]);
}

sub psql
{
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'psql', '-X', @_, '-f', 'examples/watch.sql', '-d', $node->connstr('postgres') ],
		'<', \undef, '>', \$out, '2>', \$err, $timeout);
	return ($ok, $out, $err);
}

my ($ok, $out, $err) = psql();
ok(!$ok, 'without the extension it ends');

$node->safe_psql('postgres', slurp_file('examples/steps.sql') . q{
CREATE SCHEMA "Check Points";
CREATE EXTENSION tasker_checkpoint SCHEMA "Check Points";
SET search_path = "Check Points";
INSERT INTO tasker.tasks (task_uuid) VALUES ('00000000-0000-0000-0000-00000000000a');
INSERT INTO tasker.named_steps (named_step_uuid, name)
SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid, 'step ' || i FROM generate_series(1, 4) i;
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, inputs, created_at, updated_at)
SELECT named_step_uuid, '00000000-0000-0000-0000-00000000000a', named_step_uuid,
	'{"cursor": {"start_cursor": 0, "end_cursor": 50}}', now(), now() FROM tasker.named_steps;
SELECT tasker_checkpoint_yield(workflow_step_uuid, '10', 10) FROM tasker.workflow_steps;
SELECT FROM tasker_checkpoint_claim('worker 1', '1 hour', 1, '00000000-0000-0000-0000-000000000001');
SELECT FROM tasker_checkpoint_claim('worker 2', '1 microsecond', 1, '00000000-0000-0000-0000-000000000002');
SELECT tasker_checkpoint_pause('00000000-0000-0000-0000-000000000003');
});

($ok, $out, $err) = psql('-v', 'once=1');
ok($ok, 'once it ends well');
is($err, '', 'and says nothing else');
my @lines = cells($out);
is(join('|', @{ shift @lines }), 'step|progress|%|items|items/s|eta|state|worker|age', 'columns');
is(join(' ', map { $_->[6] } @lines), 'expired waiting claimed paused', 'what needs somebody is on top');
is(join('|', @{ $lines[2] }[ 0 .. 3, 6, 7 ]), 'step 1 000001|[####................]|20.0|10 / 50|claimed|worker 1', 'a step');

($ok, $out, $err) = psql('-v', 'once=1', '-v', 'rows=2');
is(scalar(cells($out)), 3, 'as many rows as asked for');

# Live: three tables, and the third one after a change.
($out, $err) = ('', '');
my $watch = IPC::Run::start([ 'psql', '-X', '-v', 'interval=0.1', '-f', 'examples/watch.sql', '-d', $node->connstr('postgres') ],
	'<', \undef, '>', \$out, '2>', \$err, $timeout);
$watch->pump until $out =~ /paused.*paused/s || !$watch->pumpable;
$node->safe_psql('postgres', q{SELECT "Check Points".tasker_checkpoint_cancel('00000000-0000-0000-0000-000000000003')});
$watch->pump until $out =~ /cancelled/ || !$watch->pumpable;
like($out, qr/paused.*paused.*cancelled/s, 'it looks again and again');
unlike($out, qr/\033/, 'and clears no screen where there is no terminal');
$watch->kill_kill;

$node->stop;
done_testing();
