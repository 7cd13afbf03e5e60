# A worker's role has no way to lift an operator's limit.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('worker_limits');
$node->init;
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
$node->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps VALUES ('$step');
	CREATE EXTENSION tasker_checkpoint;
	CREATE ROLE worker LOGIN;
	CREATE SCHEMA AUTHORIZATION worker;
	GRANT SELECT, UPDATE (checkpoint) ON tasker_workflow_steps TO worker;
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_yield, tasker_checkpoint_save TO worker;
	CREATE DATABASE own OWNER worker;
	SELECT tasker_checkpoint_yield('$step', '1', 1);
});

my $too_large = "to_jsonb(repeat('x', 66000))";
my $function = "SELECT tasker_checkpoint_yield('$step', $too_large, 2);";
my $update = "UPDATE tasker_workflow_steps SET checkpoint = jsonb_build_object('cursor', $too_large, 'items_processed', 2);";
my $load = 'SELECT tasker_checkpoint_items_processed(workflow_step_uuid) FROM tasker_workflow_steps;';

# What a worker's session says, statements that fail not ending it.
sub worker
{
	my ($sql, $database) = @_;
	my ($ret, $stdout, $stderr) = $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', 'worker' ], on_error_stop => 0, on_error_die => 0);
	return $stderr;
}

my $denied = qr/42501: permission denied to set parameter "tasker_checkpoint\.\w+"/;
my $refused = qr/ERROR:  54000: cursor of step "$step" is too large/;

like(worker($function), $refused, 'the limit holds for a function');
like(worker($update), $refused, 'and for an UPDATE');

my %tries = (
	'SET' => 'SET tasker_checkpoint.cursor_limit = -1;',
	'set_config' => "SELECT set_config('tasker_checkpoint.cursor_limit', '-1', false);",
	'SET enforce' => "SET tasker_checkpoint.enforce = 'warning';");
foreach my $name (sort keys %tries)
{
	my $said = worker("$load $tries{$name} $function");
	like($said, $denied, "$name is refused");
	like($said, $refused, "$name lifts no limit");

	# a setting that the server does not know yet, until the library is loaded
	$said = worker("$tries{$name} $function");
	like($said, $denied, "$name before the library is loaded is refused");
	like($said, $refused, "$name before the library is loaded lifts no limit");
	like(worker("$tries{$name} $update"), $refused, "$name before the library is loaded lifts none for an UPDATE");
}

my $local = 'BEGIN; SET LOCAL tasker_checkpoint.cursor_limit = -1;';
like(worker("$load $local"), $denied, 'SET LOCAL is refused');
my $said = worker("$local $function");
like($said, $denied, 'SET LOCAL before the library is loaded is refused');
like($said, $refused, 'SET LOCAL before the library is loaded lifts no limit');

{
	local $ENV{PGOPTIONS} = '-c tasker_checkpoint.cursor_limit=-1 -c tasker_checkpoint.enforce=warning';
	like(worker($function), $refused, 'PGOPTIONS lifts no limit');
	like(worker($update), $refused, 'PGOPTIONS lifts none for an UPDATE');
}

my $role = 'ALTER ROLE worker SET tasker_checkpoint.cursor_limit = -1;';
like(worker("$load $role"), $denied, 'ALTER ROLE is refused');
like(worker($role), $denied, 'ALTER ROLE before the library is loaded is refused');
like(worker($function), $refused, 'ALTER ROLE lifts no limit');

my $own = 'ALTER DATABASE own SET tasker_checkpoint.cursor_limit = -1;';
like(worker("$load $own"), $denied, "ALTER DATABASE is refused, also to its owner");
like(worker($own, 'own'), $denied, "ALTER DATABASE before the library is loaded is refused");

my $create = sub {
	my ($name) = @_;
	return "CREATE FUNCTION worker.$name() RETURNS void LANGUAGE sql SET tasker_checkpoint.cursor_limit = -1 AS \$\$ $function \$\$;";
};
like(worker("$load " . $create->('late')), $denied, "a function's SET is refused");
like(worker($create->('early') . ' SELECT worker.early();'), $denied,
	"a function's SET before the library is loaded is refused");
like(worker("SET check_function_bodies = off; " . $create->('unchecked') . ' SELECT worker.unchecked();'),
	$denied, "a function's SET is refused unchecked, too");

like(worker("CREATE TABLE worker.t (); ALTER TABLE tasker_workflow_steps DISABLE TRIGGER zz_tasker_checkpoint_guard;"),
	qr/42501: must be owner/, 'the guard is not for the worker to disable');
like(worker("SET session_replication_role = replica;"), qr/42501: permission denied/,
	'nor to go round');

is($node->safe_psql('postgres', "SELECT cursor, sequence FROM tasker_checkpoint_load('$step')"), '1|1',
	'the stored checkpoint is as it was');

# an operator can, and can let a role
$node->safe_psql('postgres', 'ALTER ROLE worker SET tasker_checkpoint.cursor_limit = 100000');
is(worker($function), '', 'an operator can lift it for a role');
$node->safe_psql('postgres', 'ALTER ROLE worker RESET ALL; GRANT SET ON PARAMETER tasker_checkpoint.cursor_limit TO worker');
is(worker("SET tasker_checkpoint.cursor_limit = -1; SELECT tasker_checkpoint_yield('$step', $too_large, 3);"), '',
	'and can let a role lift it');

$node->stop;
done_testing();
