# examples/grants.sql gives reader, worker and operator what they need, and no
# more, on Tasker's table and on one with other names.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('grants');
$node->init;
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';

sub run_grants
{
	my ($database, %roles) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[ 'psql', '-X', '-q', (map { ('-v', "$_=$roles{$_}") } sort keys %roles),
			'-f', 'examples/grants.sql', '-d', $node->connstr($database) ],
		'<', \undef, '>', \$out, '2>', \$err);
	return ($ok, $out . $err);
}

# Runs statements as a role: 'ok', or the first error.
sub as
{
	my ($database, $role, $sql) = @_;
	my ($ret, $out, $err) = $node->psql($database, qq{SET ROLE "$role"; $sql});
	return $ret == 0 ? 'ok' : $err =~ /ERROR:  (.*)/ ? $1 : $err;
}

# Which functions of the extension a role can execute that not everybody can.
sub functions
{
	my ($database, $role) = @_;
	return $node->safe_psql($database, qq{
		SELECT string_agg(substr(proname, 19), ' ' ORDER BY proname COLLATE "C")
		FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		WHERE proname LIKE 'tasker\\_checkpoint\\_%' AND has_function_privilege('$role', p.oid, 'EXECUTE')
		AND NOT has_function_privilege('nobody', p.oid, 'EXECUTE')});
}

my %roles = (reader => 'batch_reader', worker => 'batch_worker', operator => 'batch_operator');
$node->safe_psql('postgres', 'CREATE ROLE nobody');

# Without a table there is nothing to grant on.
$node->safe_psql('postgres', 'CREATE EXTENSION tasker_checkpoint');
my ($ok, $said) = run_grants('postgres', %roles);
ok(!$ok, 'without a table it fails');
like($said, qr/ERROR:  no steps table is attached/, 'and says so');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'batch\_%'}), '0', 'and creates no role');

# Tasker's table
$node->safe_psql('postgres', slurp_file('examples/steps.sql') . qq{
	SELECT tasker_checkpoint_attach();
	INSERT INTO tasker.tasks VALUES ('$step');
	INSERT INTO tasker.named_steps VALUES ('$step', 'import');
	INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, created_at, updated_at)
	VALUES ('$step', '$step', '$step', now(), now());
});
foreach my $time ('once', 'again')
{
	($ok, $said) = run_grants('postgres', %roles);
	ok($ok, "it runs $time");
	is($said, '', 'and has nothing to say');
}
is($node->safe_psql('postgres', "\\set ON_ERROR_STOP $_\n\\i examples/grants.sql\n\\echo :ON_ERROR_STOP"), $_,
	"by \\i it leaves ON_ERROR_STOP $_") foreach ('off', 'on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'batch\_%' AND NOT rolcanlogin}), '3',
	'roles are created that cannot log in');
is(functions('postgres', 'batch_reader'), '', 'a reader executes what everybody does');
is($node->safe_psql('postgres', q{SELECT found FROM tasker_checkpoint_doctor() WHERE "check" = 'grants'}),
	'Workers have the rights that they need, and no others on the steps table.', 'the doctor has nothing to say');
is(functions('postgres', 'batch_worker'), 'claim complete dispatch heartbeat release save wait yield yield_step_event',
	'a worker executes these besides');
my %worker = map { $_ => 1 } split(/ /, functions('postgres', 'batch_worker'));
my %everything = map { $_ => 1 } split(/ /, functions('postgres', 'postgres'));
delete @everything{grep { $_ ne 'dispatch' } keys %worker};
is(functions('postgres', 'batch_operator'), join(' ', sort grep { !/^(guard|attach_table|attach_indexes)$/ } keys %everything),
	'an operator executes all others, and dispatch, but not the guard and the parts of attach');

sub allowed
{
	my ($role, @statements) = @_;
	is(as('postgres', $role, $_), 'ok', "$role: $_") foreach @statements;
	return;
}

sub refused
{
	my ($role, @statements) = @_;
	like(as('postgres', $role, $_), qr/^permission denied|^must be owner/, "$role, not: $_") foreach @statements;
	return;
}

my $look = "SELECT tasker_checkpoint_get('$step'), * FROM tasker_checkpoint_load('$step')";
my $yield = "SELECT tasker_checkpoint_yield('$step', '1', 1)";
my $begin = 'BEGIN; SELECT event_id FROM tasker_checkpoint_claim(\'w\') \gset';
my $table = 'tasker.workflow_steps';

allowed('batch_worker', "SELECT tasker_checkpoint_dispatch('$step')", $look,
	"$begin\nSELECT tasker_checkpoint_heartbeat(:'event_id'), tasker_checkpoint_save('$step', '1', 1, NULL, :'event_id'); "
	. "SELECT tasker_checkpoint_yield_step_event(:'event_id', '{\"step_uuid\": \"$step\", \"cursor\": 2, \"items_processed\": 2}')",
	"$begin\nSELECT tasker_checkpoint_release(:'event_id')", "$begin\nSELECT tasker_checkpoint_complete(:'event_id')",
	$yield, "UPDATE $table SET checkpoint = checkpoint || '{\"cursor\": 7}', updated_at = now() WHERE workflow_step_uuid = '$step'");
refused('batch_worker', "SELECT tasker_checkpoint_pause('$step')", "SELECT tasker_checkpoint_clear('$step')",
	"SELECT tasker_checkpoint_purge('0')", 'SELECT tasker_checkpoint_trim(0)', 'SELECT tasker_checkpoint_purge_events()',
	"SELECT inputs FROM $table", "UPDATE $table SET processed = true", "INSERT INTO $table DEFAULT VALUES",
	"DELETE FROM $table", 'SELECT FROM tasker_checkpoint_events', 'SELECT tasker_checkpoint_detach()');

allowed('batch_reader', $look, "SELECT * FROM $table", 'SELECT tasker_checkpoint_table()');
is($node->safe_psql('postgres', 'SET ROLE batch_reader; SELECT step_name, items_processed FROM tasker_checkpoint_progress'),
	'import|1', 'a reader sees progress, and whose');
refused('batch_reader', 'SELECT context FROM tasker.tasks', $yield, "UPDATE $table SET checkpoint = NULL", "SELECT tasker_checkpoint_dispatch('$step')",
	"SELECT tasker_checkpoint_claim('w')", "SELECT tasker_checkpoint_pause('$step')", 'SELECT FROM tasker_checkpoint_events');

allowed('batch_operator', $look, (map { "SELECT tasker_checkpoint_$_('$step')" } qw(dispatch pause cancel resume)),
	"SELECT tasker_checkpoint_rewind('$step', 1)", "SELECT tasker_checkpoint_reset_for_retry('$step', true)",
	"SELECT tasker_checkpoint_clear('$step')",
	"SELECT tasker_checkpoint_purge('0'), tasker_checkpoint_trim(0), tasker_checkpoint_purge_events()");
refused('batch_operator', $yield, "SELECT tasker_checkpoint_claim('w')", "UPDATE $table SET inputs = NULL",
	"DELETE FROM $table", 'SELECT tasker_checkpoint_detach()', 'SELECT FROM tasker_checkpoint_events');

# A table, schemas and roles with other names, and fewer columns; one role at a time
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', qq{
	CREATE SCHEMA "Own "" Schema";
	CREATE SCHEMA "Jobs";
	CREATE EXTENSION tasker_checkpoint SCHEMA "Own "" Schema";
	SET search_path = "Own "" Schema";
	CREATE TABLE "Jobs"."The Steps" ("Key" uuid PRIMARY KEY, note text);
	INSERT INTO "Jobs"."The Steps" VALUES ('$step');
	SELECT tasker_checkpoint_attach('"Jobs"."The Steps"', 'Key');
});
foreach my $kind (sort keys %roles)
{
	($ok, $said) = run_grants('other', $kind => qq{The "${kind}'s"});
	is("$ok $said", '1 ', "other names: $kind");
}
my $own = 'SET search_path = "Own "" Schema";';
is(as('other', q{The ""worker's""}, $own . $yield), 'ok', 'other names: worker');
is(as('other', q{The ""reader's""}, $own . $look), 'ok', 'other names: reader');
is(as('other', q{The ""operator's""}, $own . "SELECT tasker_checkpoint_reset_for_retry('$step', true)"), 'ok',
	'other names: operator');
like(as('other', q{The ""worker's""}, 'SELECT note FROM "Jobs"."The Steps"'), qr/^permission denied/, 'and no more');

$node->stop;
done_testing();
