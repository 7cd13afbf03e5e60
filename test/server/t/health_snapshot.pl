# Health and the doctor name who keeps dead rows of the dispatch table from being
# removed, as far as the caller may see that, and what they suggest ends it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('health_snapshot');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
autovacuum = off
max_prepared_transactions = 2
wal_receiver_status_interval = 1s
});
$node->start;
$node->safe_psql('postgres', q{
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps SELECT md5(n::text)::uuid FROM generate_series(1, 500) n;
SELECT count(tasker_checkpoint_dispatch(id)) FROM steps;
CREATE ROLE app LOGIN;
CREATE ROLE reader LOGIN;
GRANT SELECT ON steps TO app, reader;
CREATE DATABASE other;
CREATE TABLE large AS SELECT n, repeat('x', 500) AS t FROM generate_series(1, 5000) n;
SELECT pg_stat_force_next_flush();
});

# What health says of snapshots, of any age or as old as is asked for.
sub findings
{
	my ($role, $age) = @_;
	return $node->safe_psql('postgres', sprintf(q{SELECT finding, severity, figure >= 0, threshold, unit, statement
		FROM tasker_checkpoint_health(old_snapshot => '%s') WHERE finding = 'old_snapshot'}, $age // '1 microsecond'),
		extra_params => [ '-U', $role // $node->safe_psql('postgres', 'SELECT current_user') ]);
}

sub detail
{
	return $node->safe_psql('postgres', q{SELECT detail FROM tasker_checkpoint_health(old_snapshot => '1 microsecond') WHERE finding = 'old_snapshot'});
}

# Leaves so many dead rows for each of 500 events.
sub leave
{
	my ($times) = @_;
	$node->safe_psql('postgres', join('', ('UPDATE tasker_checkpoint_events SET sequence = sequence + 1;') x $times)
		. 'SELECT pg_stat_force_next_flush();');
	return;
}

sub session
{
	my ($name, $database, @sql) = @_;
	local $ENV{PGAPPNAME} = $name;
	my $session = $node->background_psql($database, extra_params => [ '-U', 'app' ]);
	$session->query_safe($_) for @sql;
	return $session;
}

# Runs what is suggested, and sees the finding go.
sub mend
{
	my ($what) = @_;
	my $statement = $node->safe_psql('postgres',
		q{SELECT statement FROM tasker_checkpoint_health(old_snapshot => '1 microsecond') WHERE finding = 'old_snapshot'});
	$node->safe_psql('postgres', $statement);
	ok($node->poll_query_until('postgres',
		q{SELECT count(*) = 0 FROM tasker_checkpoint_health(old_snapshot => '1 microsecond') WHERE finding = 'old_snapshot'}),
		"$what: the statement ends it");
	return;
}

my $snapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;';
my $pid = 'SELECT pg_backend_pid()';

# A session that is idle, with a snapshot.
my $idle = session('a "psql"', 'postgres', $snapshot);
is(findings(), '', 'where nothing is dead nobody keeps it');
leave(1);
my $its_pid = $idle->query_safe($pid);
is(findings(), "old_snapshot|warning|t|0.000001|seconds|SELECT pg_catalog.pg_terminate_backend($its_pid);", 'an old snapshot');
like(detail(), qr/^Session $its_pid \(client backend of role "app", application "a "psql""\), in a transaction since 20[^,]*, keeps dead rows of the dispatch table from being removed, 500 by now, .* It is idle; the statement ends the session\.$/,
	'who it is, and since when');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tasker_checkpoint_health WHERE finding = 'old_snapshot'}), '0', 'not yet by default');
is(findings(undef, '0'), '', 'none is asked for');
is(findings(undef, '1 hour'), '', 'none is as old');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM tasker_checkpoint_health(old_snapshot => '1 second') WHERE finding = 'old_snapshot'}),
	'from the threshold on it is shown');
is($node->safe_psql('postgres', q{SELECT DISTINCT status FROM tasker_checkpoint_doctor() WHERE "check" = 'snapshots'}), 'ok', 'the doctor waits longer');
$node->safe_psql('postgres', 'VACUUM tasker_checkpoint_events');
isnt(findings(), '', 'vacuum could not remove them');

# Who may see what.
is(findings('reader'), '', 'a reader does not see what others do');
isnt(findings('app'), '', 'who has the session does');
$node->safe_psql('postgres', 'GRANT pg_read_all_stats TO reader');
is(findings('reader'), findings(), 'and who may see all sessions');
is($node->safe_psql('postgres', q{GRANT EXECUTE ON FUNCTION tasker_checkpoint_doctor() TO app;
	SET ROLE app; SELECT status, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'snapshots'}),
	'notice|GRANT pg_read_all_stats TO app;', 'the doctor says what it may not see');
mend('an idle session');
eval { $idle->quit };
$node->safe_psql('postgres', 'VACUUM tasker_checkpoint_events; SELECT pg_stat_force_next_flush()');
leave(1);

# Those that keep nothing: without a snapshot, of another database, vacuum.
my @others = (session('idle', 'postgres', 'BEGIN', 'SELECT 1'), session('elsewhere', 'other', $snapshot));
my $vacuum = $node->background_psql('postgres');
$vacuum->query_until(qr/^begun$/m, "SET vacuum_cost_limit = 1;\nSET vacuum_cost_delay = 100;\n\\echo begun\nDELETE FROM large;\nVACUUM large;\n");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_stat_progress_vacuum'), 'a table is vacuumed');
is(findings(), '', 'none of these keeps anything');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum');
eval { $vacuum->quit };
$_->quit for @others;

# One that has written, and one at work.
my $writer = session('writer', 'postgres', "SET application_name = ''", 'BEGIN', 'SELECT pg_current_xact_id()');
$its_pid = $writer->query_safe($pid);
is(findings(), "old_snapshot|warning|t|0.000001|seconds|SELECT pg_catalog.pg_terminate_backend($its_pid);", 'a transaction that may have written');
like(detail(), qr/of role "app"\), in a transaction/, 'an application need not have a name');
$writer->quit;
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
my $busy = $node->background_psql('postgres', extra_params => [ '-U', 'app' ], on_error_stop => 0);
$its_pid = $busy->query_safe($pid);
$busy->query_until(qr/^begun$/m, "\\echo begun\nSELECT pg_advisory_lock(1);\n");
ok($node->poll_query_until('postgres', "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $its_pid"), 'a session is at work');
is(findings(), "old_snapshot|warning|t|0.000001|seconds|SELECT pg_catalog.pg_cancel_backend($its_pid);", 'which is only cancelled');
mend('a session at work');
eval { $busy->quit };
$holder->quit;

# A prepared transaction.
$node->safe_psql('postgres', "BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'it''s'");
$node->safe_psql('other', "BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'elsewhere'");
is(findings(), q{old_snapshot|warning|t|0.000001|seconds|ROLLBACK PREPARED 'it''s';}, 'a prepared transaction');
like(detail(), qr/^The prepared transaction 'it''s' of role "\w+", prepared at 20/, 'by its name');
is(findings('app'), findings(), 'which everybody sees');
mend('a prepared transaction');
$node->safe_psql('other', "ROLLBACK PREPARED 'elsewhere'");

# A standby, by its feedback and by its slot: nobody knows since when.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('health_snapshot_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'hot_standby_feedback = on');
$standby->start;
my $reading = $standby->background_psql('postgres');
$reading->query_safe($snapshot);
ok($node->poll_query_until('postgres', 'SELECT count(backend_xmin) = 1 FROM pg_stat_replication'), 'a standby gives feedback');
is(findings(), '', 'which is nothing to be told of where little is dead');
leave(20);
my $unknown = 'old_snapshot|warning||||';
is(findings(), $unknown, 'a standby');
like(detail(), qr/^The standby "health_snapshot_standby" of role "\w+", by its feedback, .* hot_standby_feedback off\.$/, 'by its name');
is($node->safe_psql('postgres', q{SELECT status FROM tasker_checkpoint_doctor() WHERE "check" = 'snapshots'}), 'warning', 'the doctor tells, too');
is(findings(undef, '0'), '', 'but not if none is asked for');
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('slot_1')});
$standby->append_conf('postgresql.conf', "primary_slot_name = 'slot_1'");
$standby->reload;
ok($node->poll_query_until('postgres', 'SELECT xmin IS NOT NULL AND active FROM pg_replication_slots'), 'it gets a slot');
is(findings(), $unknown, 'a slot with a standby');
like(detail(), qr/^Replication slot "slot_1", by the feedback of its standby,/, 'by the name of the slot');
$reading->quit;
$standby->stop('immediate');
ok($node->poll_query_until('postgres', 'SELECT NOT active FROM pg_replication_slots'), 'the standby is gone');
is(findings(), "old_snapshot|warning||||SELECT pg_catalog.pg_drop_replication_slot('slot_1');", 'a slot that nobody uses');
mend('a slot that nobody uses');

$node->stop;
done_testing();
