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
is(join('|', @{ shift @lines }), 'step|queue|progress|%|items|items/s|eta|state|worker|age', 'columns');
is(join(' ', map { $_->[7] } @lines), 'expired waiting claimed paused', 'what needs somebody is on top');
is(join('|', @{ $lines[2] }[ 0 .. 4, 7, 8 ]), 'step 1 000001|default|[##........]|20.0|10 / 50|claimed|worker 1', 'a step');

($ok, $out, $err) = psql('-v', 'once=1', '-v', 'rows=2');
is(scalar(cells($out)), 3, 'as many rows as asked for');

# 80 columns, 24 lines: nothing wraps, and the top is there, in a terminal of that
# size, in one that does not know its size, and where there is only the environment.
$node->safe_psql('postgres', q{
SET search_path = "Check Points";
UPDATE tasker.named_steps SET name = repeat('long name ', 10) || E'\n' || name;
INSERT INTO tasker.tasks SELECT FROM generate_series(1, 60);
INSERT INTO tasker.workflow_steps (task_uuid, named_step_uuid, inputs, created_at, updated_at, checkpoint)
SELECT t.task_uuid, n.named_step_uuid, '{"cursor": {"start_cursor": 0, "end_cursor": 123456789012345}}', now(), now(),
	'{"cursor": 1, "items_processed": 12345678901234, "timestamp": "2020-01-01T00:00:01Z", "history_truncated": 1, "history": [
	{"cursor": 0, "items_processed": 0, "timestamp": "2020-01-01T00:00:00Z"}, {"cursor": 1, "items_processed": 12345, "timestamp": "2020-01-01T00:00:01Z"}]}'
FROM tasker.tasks t, tasker.named_steps n WHERE n.named_step_uuid::text ~ '1$' AND t.task_uuid <> '00000000-0000-0000-0000-00000000000a';
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000004', repeat('queue', 12));
SELECT FROM tasker_checkpoint_claim(repeat('worker with a long name ', 8), '1 hour', 1, '00000000-0000-0000-0000-000000000004');
});

# The lines of the last screen that a terminal of this size got; until there is one more
sub screen
{
	my ($size) = @_;
	my ($screens, $stream) = ('', '');
	my $connstr = $node->connstr('postgres');
	my $script = IPC::Run::start([ 'script', '-qfec', "stty $size; exec psql -X -v interval=0.1 -f examples/watch.sql -d \"$connstr\"", '/dev/null' ],
		'<', \undef, '>', \$stream, '2>&1', $timeout);
	$script->pump until $stream =~ /\033\[H\033\[J.*\033\[H\033\[J.*\033\[H/s || !$script->pumpable;
	$script->kill_kill;
	my @screens = split(/\033\[H\033\[J/, $stream);
	return split(/\r?\n/, $screens[-2] // '');
}

# How many lines, and how long the longest is
sub extent
{
	my $longest = 0;
	$longest = length > $longest ? length : $longest for @_;
	return (scalar(@_), $longest);
}

sub fits
{
	my ($what, $rows, $columns, @screen) = @_;
	my ($lines, $width) = extent(@screen);
	cmp_ok($lines, '<', $rows, "$what: the top is there");
	cmp_ok($lines, '>', $rows - 5, "$what: nearly all lines are used");
	cmp_ok($width, '<=', $columns, "$what: no line wraps");
	like(join("\n", @screen), qr/ step .* queue .* state .* worker .*\n.*\n[^\n]*expired[^\n]*\n[^\n]*claimed/, "$what: what needs somebody is on top");
	return;
}

SKIP:
{
	skip 'no script(1)', 16 if system('script -qfec true /dev/null >/dev/null 2>&1') != 0;
	fits('80 by 24', 24, 80, screen('rows 24 cols 80'));
	fits('a terminal that does not know', 24, 80, screen('rows 0 cols 0'));
	fits('100 by 40', 40, 100, screen('rows 40 cols 100'));
	fits('160 by 50', 50, 160, screen('rows 50 cols 160'));
}
{
	local @ENV{ 'LINES', 'COLUMNS' } = (24, 80);
	($ok, $out, $err) = psql('-v', 'once=1');
	my ($lines, $width) = extent(split(/\n/, $out));
	cmp_ok($lines, '<=', 24, 'LINES count where there is no terminal');
	cmp_ok($width, '<=', 80, 'and so do COLUMNS');
}
$node->safe_psql('postgres', q{DELETE FROM tasker.workflow_steps WHERE named_step_uuid <> workflow_step_uuid});

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
