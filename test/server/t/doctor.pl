# A database where each check of the doctor finds something, and what the doctor
# itself suggests makes it go away. What is of the whole server goes with a
# reload or a restart.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('doctor');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
default_toast_compression = pglz
max_connections = 10
log_statement = none
});
$node->start;
my $database = 'the "doctor"';
$node->safe_psql('postgres', 'CREATE DATABASE "the ""doctor"""');

# What was found, by row: the check, and the statement that mends it.
sub findings
{
	my ($where) = @_;
	return $node->safe_psql($database, 'SELECT "check", statement FROM tasker_checkpoint_doctor() WHERE status <> \'ok\''
		. ($where ? " AND $where" : '')
		. q{ ORDER BY "check" IN ('connections', 'notifier'), "check" = 'hot_share', "check" COLLATE "C", statement COLLATE "C"});
}

my %mended;

# Runs what a row suggests, and sees the row go.
sub mend
{
	my ($row) = @_;
	my ($check, $statement) = $row =~ /^(\w+)\|(.+)$/ or return fail("a statement for $row");
	my ($code, $out, $err) = $node->psql($database, $statement);

	is($code, 0, "$check: $statement") or diag($err);
	if ($statement =~ /^ALTER SYSTEM/)
	{
		$statement =~ /autovacuum/ ? $node->reload : $node->restart;
	}
	# a session that was ended, and a server that was told to reload, take a moment
	ok($node->poll_query_until($database, qq{
		SELECT NOT EXISTS (SELECT FROM tasker_checkpoint_doctor()
						   WHERE status <> 'ok' AND "check" = '$check' AND statement = \$row\$$statement\$row\$)}),
		"$check: it is gone");
	$mended{$check} = 1;
	return;
}

#
# A Tasker of which nobody has taken care.
#
$node->safe_psql($database, q{
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false, processed_at timestamp,
		updated_at timestamp, checkpoint jsonb COMPRESSION pglz);
	CREATE INDEX idx_workflow_steps_checkpoint_cursor ON tasker.workflow_steps ((checkpoint ->> 'cursor')) WHERE checkpoint IS NOT NULL;
	CREATE INDEX idx_workflow_steps_checkpoint_exists ON tasker.workflow_steps (workflow_step_uuid) WHERE checkpoint IS NOT NULL;
	CREATE EXTENSION tasker_checkpoint;
});
is($node->safe_psql($database, 'SELECT string_agg("check", \' \') FROM tasker_checkpoint_doctor() WHERE status <> \'ok\''),
	'index index fillfactor compression bloat notifier', 'what a plain Tasker on this server has');

# index, fillfactor, compression: Tasker's own; bloat of the table
$node->safe_psql($database, q{
	ALTER TABLE tasker.workflow_steps SET (autovacuum_enabled = off, toast.autovacuum_enabled = 'false');
	INSERT INTO tasker.workflow_steps (workflow_step_uuid) SELECT md5(n || 'step')::uuid FROM generate_series(1, 5200) n;
	UPDATE tasker.workflow_steps SET checkpoint = '{"cursor": 1, "items_processed": 1}';
	UPDATE tasker.workflow_steps SET checkpoint = '{"cursor": 2, "items_processed": 2}';
	SELECT pg_stat_force_next_flush();
});
# limits, and bloat of the TOAST table
$node->safe_psql($database, q{
	CREATE TEMPORARY TABLE large AS SELECT to_jsonb(string_agg(md5(n::text), '')) AS results FROM generate_series(1, 28000) n;
	SELECT count(tasker_checkpoint_save(md5(1 || 'step')::uuid, '3', 3, results)) FROM large, generate_series(1, 30);
	SELECT pg_stat_force_next_flush();
});
# events
$node->safe_psql($database, q{
	SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM (
		SELECT workflow_step_uuid FROM tasker.workflow_steps WHERE workflow_step_uuid <> md5(1 || 'step')::uuid LIMIT 200) s;
	UPDATE tasker.workflow_steps SET processed = true WHERE workflow_step_uuid IN (SELECT step_uuid FROM tasker_checkpoint_dispatched());
});
# grants: too few, too many, and what is nobody's
$node->safe_psql($database, q{
	CREATE ROLE "The Worker";
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_claim(text, interval, integer, uuid, text[]), tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) TO "The Worker";
	GRANT SELECT (checkpoint), UPDATE, TRUNCATE ON tasker.workflow_steps TO "The Worker";
	GRANT SELECT ON tasker_checkpoint_events TO PUBLIC;
});
# settings, of the database and of the role that looks
$node->safe_psql($database, q{
	ALTER DATABASE "the ""doctor""" SET tasker_checkpoint.enforce = warning;
	DO 'BEGIN EXECUTE format(''ALTER ROLE %I SET tasker_checkpoint.max_lease = 1'', current_user); END';
	DO 'BEGIN EXECUTE format(''ALTER ROLE %I IN DATABASE %I SET tasker_checkpoint.history_limit = 0'', current_user, current_database()); END';
});
# notify_queue: a session that listens, and does not end its transaction
my %idle = (in => "LISTEN doctor;\nBEGIN;\nSELECT 1;\n\\echo said\n", out => '', err => '');
$idle{run} = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', 'dbname=postgres host=' . $node->host . ' port=' . $node->port ],
	'<', \$idle{in}, '>', \$idle{out}, '2>', \$idle{err}, $timeout);
ok(pump_until($idle{run}, $timeout, \$idle{out}, qr/^said$/m), 'a session listens in a transaction');
$node->safe_psql('postgres', q{SELECT count(pg_notify('doctor', n || repeat('x', 7900))) FROM generate_series(1, 15000) n});
# connections: those that are not reserved, but for three
my @waiting = map {
	my %self = (out => '', err => '');
	$self{run} = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr($database), '-c', q{CALL tasker_checkpoint_wait('{other}', '1 hour')} ],
		'>', \$self{out}, '2>', \$self{err}, $timeout);
	\%self;
} 1 .. 4;
ok($node->poll_query_until($database, q{
	SELECT count(*) = 4 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event_type = 'Extension'}), 'four sessions wait');
# version: as after an upgrade of the files
my $extensions = do { chomp(my $dir = `pg_config --sharedir`); "$dir/extension" };
my $update = "$extensions/tasker_checkpoint--0.9.0--1.0.0.sql";
END { unlink $update if defined $update; }
my $version = $node->safe_psql($database, q{SELECT extversion FROM pg_extension WHERE extname = 'tasker_checkpoint'});
$update =~ s/1\.0\.0\.sql$/$version.sql/;
append_to_file($update, "-- nothing\n");
$node->safe_psql($database, q{UPDATE pg_extension SET extversion = '0.9.0' WHERE extname = 'tasker_checkpoint'});
# trigger_order, table, guard, replication
$node->safe_psql($database, q{
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER zzz BEFORE UPDATE ON tasker.workflow_steps FOR EACH ROW EXECUTE FUNCTION nothing();
	ALTER TABLE tasker.workflow_steps ALTER checkpoint SET DEFAULT '{}';
	ALTER TABLE tasker.workflow_steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
	ALTER TRIGGER zz_tasker_checkpoint_guard ON tasker.workflow_steps NO DEPENDS ON EXTENSION tasker_checkpoint;
	ALTER DATABASE "the ""doctor""" SET session_replication_role = replica;
});

my $user = $node->safe_psql($database, 'SELECT quote_ident(current_user)');
my $found = findings();
(my $shown = $found) =~ s/pg_terminate_backend\(\d+\)/pg_terminate_backend(PID)/;
is($shown, <<"EOT" =~ s/\n\z//r, 'each check finds something');
bloat|ALTER SYSTEM SET autovacuum = 'on';
bloat|ALTER TABLE tasker.workflow_steps RESET (autovacuum_enabled);
bloat|ALTER TABLE tasker.workflow_steps RESET (toast.autovacuum_enabled);
bloat|VACUUM tasker.workflow_steps;
bloat|VACUUM tasker.workflow_steps;
compression|ALTER TABLE tasker.workflow_steps ALTER COLUMN checkpoint SET COMPRESSION lz4;
events|SELECT public.tasker_checkpoint_purge_events(1200, false);
fillfactor|ALTER TABLE tasker.workflow_steps SET (fillfactor = 70);
grants|GRANT EXECUTE ON FUNCTION public.tasker_checkpoint_complete(uuid), public.tasker_checkpoint_heartbeat(uuid,interval), public.tasker_checkpoint_release(uuid,interval,boolean) TO "The Worker";
grants|GRANT SELECT (workflow_step_uuid, processed) ON tasker.workflow_steps TO "The Worker";
grants|GRANT USAGE ON SCHEMA tasker TO "The Worker";
grants|REVOKE ALL ON public.tasker_checkpoint_events FROM PUBLIC;
grants|REVOKE TRUNCATE, UPDATE ON tasker.workflow_steps FROM "The Worker"; GRANT UPDATE (updated_at, checkpoint) ON tasker.workflow_steps TO "The Worker";
guard|ALTER TABLE tasker.workflow_steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
guard|ALTER TRIGGER zz_tasker_checkpoint_guard ON tasker.workflow_steps DEPENDS ON EXTENSION tasker_checkpoint;
index|DROP INDEX CONCURRENTLY tasker.idx_workflow_steps_checkpoint_cursor;
index|DROP INDEX CONCURRENTLY tasker.idx_workflow_steps_checkpoint_exists;
limits|ALTER DATABASE "the ""doctor""" SET tasker_checkpoint.results_limit = '2188kB';
notify_queue|SELECT pg_catalog.pg_terminate_backend(PID);
replication|ALTER DATABASE "the ""doctor""" SET session_replication_role = 'origin';
settings|ALTER DATABASE "the ""doctor""" SET tasker_checkpoint.enforce = 'error';
settings|ALTER ROLE $user IN DATABASE "the ""doctor""" SET tasker_checkpoint.history_limit = '10';
settings|ALTER ROLE $user SET tasker_checkpoint.max_lease = '1min';
table|ALTER TABLE tasker.workflow_steps ALTER COLUMN checkpoint DROP DEFAULT;
trigger_order|ALTER TRIGGER zzz ON tasker.workflow_steps RENAME TO zy_zzz;
version|ALTER EXTENSION tasker_checkpoint UPDATE;
connections|ALTER SYSTEM SET max_connections = 11;
notifier|ALTER SYSTEM SET shared_preload_libraries = 'tasker_checkpoint';
EOT

my %tried;
while (my ($row) = grep { /\|./ && !$tried{$_} } split /\n/, findings())
{
	$tried{$row} = 1;
	mend($row);
}
is(findings(), '', 'all is well');
is(join(' ', sort keys %mended), 'bloat compression connections events fillfactor grants guard index limits notifier notify_queue replication settings table trigger_order version',
	'each check had a statement that mended it');
unlink $update;
$_->kill_kill foreach map { $_->{run} } \%idle, @waiting;

#
# With the library preloaded. It is, by the statement above.
#
my $step = $node->safe_psql($database, 'SELECT workflow_step_uuid FROM tasker.workflow_steps WHERE NOT processed LIMIT 1');
my $yields = "DO 'BEGIN FOR i IN 1..%d LOOP PERFORM tasker_checkpoint_yield(''$step'', ''1'', 3); COMMIT; END LOOP; END'";

$node->safe_psql($database, 'ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 0');
$node->restart;
is(findings(), 'notifier|ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 2;', 'no notifiers are allowed');
mend(findings());

# no process for them, which shows once there is much to notify
$node->safe_psql($database, 'ALTER SYSTEM SET max_worker_processes = 1');
$node->restart;
is(findings(), 'notifier|ALTER SYSTEM SET max_worker_processes = 10;', 'no background workers for notifiers');
$node->safe_psql($database, sprintf($yields, 1100));
is(findings(), "notifier|ALTER SYSTEM SET max_worker_processes = 10;\nnotifier|ALTER SYSTEM SET max_worker_processes = 9;",
	'and transactions notify by themselves');
mend((split /\n/, findings())[0]);
is(findings(), '', 'neither is left');

# checkpoints that are not HOT; an orchestrator's updates of other columns are none
$node->safe_psql($database, q{CREATE INDEX not_hot ON tasker.workflow_steps ((checkpoint ->> 'items_processed'))});
$node->safe_psql($database, sprintf($yields, 3000));
is(findings(), "index|DROP INDEX CONCURRENTLY tasker.not_hot;\nhot_share|", 'checkpoints write to an index');
mend((split /\n/, findings())[0]);
is(findings(), 'hot_share|SELECT public.tasker_checkpoint_stats_reset();', 'which is counted until the counters are reset');
mend(findings());
$node->safe_psql($database, q{
	CREATE INDEX others ON tasker.workflow_steps (processed_at);
	DO 'BEGIN FOR i IN 1..3000 LOOP UPDATE tasker.workflow_steps SET processed_at = clock_timestamp() WHERE workflow_step_uuid = md5(''3step'')::uuid; END LOOP; END';
	DROP INDEX tasker.others});
$node->safe_psql($database, sprintf($yields, 1100));
is(findings(), '', 'what others update is not counted');

# those there are work elsewhere
$node->safe_psql($database, 'ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 1');
$node->restart;
$node->safe_psql('postgres', q{
	CREATE DATABASE other TEMPLATE template0;
});
$node->safe_psql('other', qq{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
	INSERT INTO tasker_workflow_steps VALUES ('$step');
	CREATE EXTENSION tasker_checkpoint;
});
my ($out, $err) = ('', '');
my $busy = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('other'), '-c', sprintf($yields, 100_000_000) ], '>', \$out, '2>', \$err, $timeout);
ok($node->poll_query_until($database, q{
	SELECT bool_or(statement = 'ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 2;') FROM tasker_checkpoint_doctor() WHERE "check" = 'notifier'}),
	'the only notifier is at work in another database');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'client backend'});
$busy->finish;
mend('notifier|ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 2;');

# an operator who cannot see whether a notifier runs
$node->safe_psql($database, q{
	CREATE ROLE "The Operator" LOGIN;
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_doctor(), tasker_checkpoint_stats() TO "The Operator";
});
my $as_operator = q{SET ROLE "The Operator"; SELECT statement FROM tasker_checkpoint_doctor() WHERE "check" = 'notifier'};
is($node->safe_psql($database, $as_operator), 'GRANT pg_read_all_stats TO "The Operator";', 'an operator cannot see the notifiers');
$node->safe_psql($database, $node->safe_psql($database, $as_operator));
is($node->safe_psql($database, $as_operator), '', 'and now can');
is(findings(), '', 'all is well again');

# changes that wait for a restart are no finding to be mended again
$node->safe_psql($database, 'ALTER SYSTEM RESET shared_preload_libraries');
$node->restart;
$node->safe_psql($database, q{ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'});
$node->restart;
is(findings(), "notifier|ALTER SYSTEM SET shared_preload_libraries = 'auto_explain', 'tasker_checkpoint';", 'other libraries stay');
$node->safe_psql($database, findings() =~ s/^notifier\|//r);
$node->reload;
ok($node->poll_query_until($database, q{SELECT pending_restart FROM pg_settings WHERE name = 'shared_preload_libraries'}), 'a change waits for a restart');
is(findings(), 'notifier|', 'it is said so');

$node->stop;
done_testing();
