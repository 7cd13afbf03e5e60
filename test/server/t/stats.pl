# With the library preloaded tasker_checkpoint_stats() counts what was done, if
# it committed, and what was refused; by database, since the server's start or a
# reset.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('stats');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
max_prepared_transactions = 2
log_min_messages = debug1
# what is cut is counted where that is the subject
tasker_checkpoint.history_limit = 100
});
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
foreach my $database ('one', 'two')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, qq{
		CREATE TABLE tasker_workflow_steps (
			workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
		INSERT INTO tasker_workflow_steps VALUES ('$step');
		INSERT INTO tasker_workflow_steps SELECT md5(n || 'step')::uuid FROM generate_series(0, 99) n;
		CREATE EXTENSION tasker_checkpoint;
		ALTER DATABASE $database SET tasker_checkpoint.notify = off;
	});
}

# The counters that are not 0. Which checkpoints are HOT depends on their pages' room.
sub stats
{
	return $node->safe_psql($_[0] // 'one', q{
		SELECT string_agg(key || ' ' || value, ', ' ORDER BY position)
		FROM json_each_text(row_to_json(tasker_checkpoint_stats())) WITH ORDINALITY e (key, value, position)
		WHERE key NOT IN ('stats_reset', 'hot_checkpoints') AND value <> '0'});
}

# What a script counts. It may fail.
sub counts
{
	my ($sql, $expected, $what) = @_;

	$node->safe_psql('one', 'SELECT tasker_checkpoint_stats_reset()');
	$node->psql('one', $sql, on_error_stop => 0);
	is(stats(), $expected, $what);
	return;
}

sub yield_sql
{
	my ($items, $event) = @_;
	return "SELECT tasker_checkpoint_yield('$step', '$items', $items, NULL, " . ($event // 'NULL') . ');';
}

is(stats(), '', 'nothing was counted yet');
is($node->safe_psql('one', q{SELECT stats_reset BETWEEN pg_postmaster_start_time() - interval '1 min' AND now() FROM tasker_checkpoint_stats()}),
	't', 'since the start of the server');

# Each counter.
counts(yield_sql(1), 'yields 1', 'a yield');
counts("SELECT tasker_checkpoint_save('$step', '1', 1)", 'saves 1', 'a save');
counts(qq{
	SELECT event_id AS event FROM tasker_checkpoint_claim('w', step_uuid => '$step') \\gset
	SELECT FROM tasker_checkpoint_save('$step', '2', 2, NULL, :'event');
	SELECT FROM tasker_checkpoint_save('$step', '2', 2, NULL, :'event');
	SELECT FROM tasker_checkpoint_yield('$step', '3', 3, NULL, :'event');
	SELECT FROM tasker_checkpoint_yield('$step', '3', 3, NULL, :'event');
	SELECT FROM tasker_checkpoint_yield('$step', '4', 4, NULL, :'event');
	SELECT FROM tasker_checkpoint_yield_step_event(:'event', '{"step_uuid": "$step", "cursor": 4, "items_processed": 4}');
}, 'yields 1, saves 1, replays 2, fenced 2, claims 1', 'a claim, what is written under it, and what is after it');
counts(qq{
	SELECT event_id AS event FROM tasker_checkpoint_claim('w', step_uuid => '$step') \\gset
	SELECT FROM tasker_checkpoint_yield('$step', '4', 4);
	SET tasker_checkpoint.require_claim = on;
	UPDATE tasker_workflow_steps SET checkpoint = '{"cursor": 4, "items_processed": 4}' WHERE workflow_step_uuid = '$step';
	SELECT FROM tasker_checkpoint_yield_step_event(:'event', '{"step_uuid": "$step", "cursor": 4, "items_processed": 4}');
}, 'yields 1, fenced 2, claims 1', 'what is written without the claim');
counts(yield_sql(0), 'refused_tc001 1', 'items that fall');
counts('SET tasker_checkpoint.enforce = warning;' . yield_sql(0), 'yields 1', 'the same, warned of only');
counts(qq{
	SET tasker_checkpoint.cursor_limit = 10; } . yield_sql(9) . q{
	RESET tasker_checkpoint.cursor_limit;
	SET tasker_checkpoint.results_limit = 10; } . yield_sql(9) . qq{
	INSERT INTO tasker_workflow_steps VALUES (gen_random_uuid(), false, now(), '{"cursor": 1, "items_processed": 1, "accumulated_results": 1}');
}, 'refused_54000 2', 'what is too large; an INSERT is not refused');
counts(qq{
	UPDATE tasker_workflow_steps SET checkpoint = '1' WHERE workflow_step_uuid = '$step';
	UPDATE tasker_workflow_steps SET checkpoint = '{"cursor": 1}' WHERE workflow_step_uuid = '$step';
	INSERT INTO tasker_workflow_steps VALUES (gen_random_uuid(), false, now(), '{"cursor": 1, "items_processed": -1}');
	INSERT INTO tasker_workflow_steps VALUES (gen_random_uuid(), false, now(), '{"cursor": 1, "items_processed": 1, "history": 1}');
}, 'refused_23514 4', 'what is no checkpoint');
counts(qq{
	BEGIN;
	UPDATE tasker_workflow_steps SET processed = true WHERE workflow_step_uuid = '$step'; } . yield_sql(9) . qq{
	ROLLBACK;
	BEGIN;
	ALTER TABLE tasker_workflow_steps DISABLE TRIGGER USER; } . yield_sql(9) . qq{
	ROLLBACK;
	UPDATE tasker_workflow_steps SET workflow_step_uuid = gen_random_uuid() WHERE workflow_step_uuid = '$step';
	BEGIN;
	SELECT tasker_checkpoint_detach();
	SELECT tasker_checkpoint_load('$step');
}, 'refused_55000 4', 'what the step or the table is not ready for');
counts(qq{
	SELECT tasker_checkpoint_yield(gen_random_uuid(), '1', 1);
	SELECT tasker_checkpoint_yield('$step', '1', -1);
	SELECT tasker_checkpoint_yield('$step', NULL, 1);
	SELECT tasker_checkpoint_complete(gen_random_uuid());
}, '', 'mistakes of another kind do not count');
counts(qq{
	SELECT FROM tasker_checkpoint_clear('$step');
	SET tasker_checkpoint.history_limit = 2; } . yield_sql(1) x 5 . qq{
	UPDATE tasker_workflow_steps SET checkpoint = jsonb_set(checkpoint, '{history}', '[]') WHERE workflow_step_uuid = '$step';
}, 'yields 5, truncated_entries 5', 'entries that are cut, also by an edit');
counts(qq{
	SELECT FROM tasker_checkpoint_claim('w', '1 microsecond', step_uuid => '$step');
	SELECT FROM tasker_checkpoint_claim('w', '1 microsecond', step_uuid => '$step');
	SET tasker_checkpoint.max_deliveries = 2;
	SELECT FROM tasker_checkpoint_claim('w', step_uuid => '$step');
	SELECT FROM tasker_checkpoint_claim('w', step_uuid => '$step');
	SELECT tasker_checkpoint_resume('$step');
	SELECT FROM tasker_checkpoint_claim('w', step_uuid => '$step');
}, 'claims 3, expired_claims 2, parked 1', 'claims, of those whose lease had run out, and a step that is parked');
$node->safe_psql('one', "SELECT tasker_checkpoint_clear('$step')");

# What was rolled back was not done. What was refused was.
counts('BEGIN;' . yield_sql(1) . yield_sql(0) . 'ROLLBACK;', 'refused_tc001 1', 'a transaction that is rolled back');
counts('BEGIN;' . yield_sql(1) . 'SAVEPOINT a;' . yield_sql(0) . 'ROLLBACK TO a;' . yield_sql(2) . 'COMMIT;',
	'yields 2, refused_tc001 1', 'a savepoint that is rolled back to');
counts('BEGIN;' . yield_sql(3) . 'SAVEPOINT a;' . yield_sql(4) . 'SAVEPOINT b;' . yield_sql(5) . 'RELEASE b;'
	. yield_sql(6) . 'ROLLBACK TO a;' . yield_sql(7) . 'COMMIT;', 'yields 2', 'with what was released inside it');
counts('BEGIN; SAVEPOINT a; SAVEPOINT b;' . yield_sql(8) . 'RELEASE b; SAVEPOINT c;' . yield_sql(8)
	. 'ROLLBACK TO c; RELEASE a; COMMIT;', 'yields 1', 'savepoints that are released');
counts('BEGIN; SAVEPOINT a; SAVEPOINT b;' . yield_sql(9) . 'RELEASE b; ROLLBACK TO a; COMMIT;', '',
	'one that is released into one that is rolled back to');
counts('BEGIN;' . join('', map { "SAVEPOINT s$_;" . yield_sql(9) } 1 .. 20) . 'COMMIT;', 'yields 20', 'many inside each other');
counts('BEGIN;' . join('', map { "SAVEPOINT s$_;" . yield_sql(9) } 1 .. 20) . 'ROLLBACK TO s11; COMMIT;', 'yields 10', 'the half of them');
counts(qq{
	DO \$\$ BEGIN
		FOR i IN 1 .. 10 LOOP
			BEGIN
				PERFORM tasker_checkpoint_yield('$step', '9', 9);
				PERFORM tasker_checkpoint_yield('$step', '9', 9 - i % 2);
			EXCEPTION WHEN SQLSTATE 'TC001' THEN
			END;
		END LOOP;
	END \$\$;
}, 'yields 10, refused_tc001 5', 'blocks that catch what is refused');
counts('BEGIN;' . yield_sql(9) . "PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p';", 'yields 1',
	'a prepared transaction counts when it is prepared');
counts(yield_sql(9) x 2 . 'BEGIN;' . yield_sql(9) . 'ROLLBACK;' . yield_sql(9), 'yields 3', 'one after the other');

# Sessions at the same time.
$node->safe_psql('one', 'SELECT tasker_checkpoint_stats_reset()');
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=250', 0,
	[qr{processed: 2000/2000}], [qr/^$/], '8 sessions yield',
	{ stats => q{SELECT tasker_checkpoint_yield(md5(:client_id || 'step')::uuid, '0', 0);} }, 'one');
is(stats() =~ s/, truncated.*//r, 'yields 2000', 'all is counted');

# Those that are HOT.
sub hot
{
	return $node->safe_psql('one', q{
		SELECT tasker_checkpoint_stats_reset();
		SELECT count(tasker_checkpoint_save(md5(n || 'step')::uuid, '1', 1)) FROM generate_series(20, 29) n;
		SELECT hot_checkpoints FROM tasker_checkpoint_stats();}) =~ s/.*\n//sr;
}
$node->safe_psql('one', 'ALTER TABLE tasker_workflow_steps SET (fillfactor = 10)');
$node->safe_psql('one', 'VACUUM FULL tasker_workflow_steps');
is(hot(), '10', 'no index is written');
$node->safe_psql('one', "CREATE INDEX by_checkpoint ON tasker_workflow_steps ((checkpoint ->> 'cursor'))");
is(hot(), '0', 'an index on the checkpoint is');
$node->safe_psql('one', 'DROP INDEX by_checkpoint');

# Each database has its own.
$node->safe_psql('two', yield_sql(1));
is(stats('two'), 'yields 1', 'another database counts by itself');
my $since = $node->safe_psql('two', 'SELECT stats_reset FROM tasker_checkpoint_stats()');
$node->safe_psql('one', 'SELECT tasker_checkpoint_stats_reset()');
is(stats(), '', 'a reset sets all to 0');
is($node->safe_psql('one', "SELECT stats_reset > '$since' FROM tasker_checkpoint_stats()"), 't', 'and says when');
is(stats('two') . $node->safe_psql('two', 'SELECT stats_reset FROM tasker_checkpoint_stats()'), "yields 1$since",
	'but not those of another');

# Wake-ups.
my $workers = q{pg_stat_activity WHERE backend_type = 'tasker_checkpoint notifier'};
$node->safe_psql('one', 'ALTER DATABASE one RESET tasker_checkpoint.notify');
counts(yield_sql(10), 'yields 1, notifications_sent 1', 'a wake-up in the transaction');
counts("BEGIN;" . yield_sql(10) . 'ROLLBACK; BEGIN;' . yield_sql(10) . "PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'", 'yields 1',
	'none that is rolled back, or dropped');

# A notifier, which is started by two commits in quick succession, and leaves when
# two seconds bring nothing. It is stopped, so that it can't; what it had not sent by
# then may come on top.
sub stopped_notifier
{
	my $pid = '';
	until ($pid)
	{
		$node->safe_psql('one', yield_sql(10) x 2);
		$pid = $node->safe_psql('one', "SELECT pid FROM $workers AND wait_event_type = 'Extension'");
		kill('STOP', $pid) if $pid;
		$pid = $node->safe_psql('one', "SELECT pid FROM $workers") if $pid;
	}
	return $pid;
}
my $pid = stopped_notifier();
$node->safe_psql('one', 'SELECT tasker_checkpoint_stats_reset()');
$node->safe_psql('one', 'BEGIN;' . yield_sql(10) x 5 . 'COMMIT');
kill('CONT', $pid);
ok($node->poll_query_until('one',
	'SELECT yields = 5 AND notifications_sent >= 5 AND notifications_batched = notifications_sent FROM tasker_checkpoint_stats()'), 'those of the notifier');
$pid = stopped_notifier();
$node->safe_psql('one', 'SELECT tasker_checkpoint_stats_reset()');
$node->safe_psql('one', 'BEGIN;' . yield_sql(10) x 3 . 'COMMIT');
$node->safe_psql('one', "SELECT pg_terminate_backend($pid)");
kill('CONT', $pid);
ok($node->poll_query_until('one',
	'SELECT yields = 3 AND notifications_sent = 0 AND notifications_lost >= 3 FROM tasker_checkpoint_stats()'),
	'those that are lost with it');

# A restart begins anew, also without a clean shutdown.
$node->safe_psql('one', yield_sql(10));
$since = $node->safe_psql('one', 'SELECT now()');
$node->restart;
is(stats(), '', 'nothing is kept over a restart');
is($node->safe_psql('one', "SELECT stats_reset > '$since' FROM tasker_checkpoint_stats()"), 't', 'since which it is counted');
$node->safe_psql('one', yield_sql(10));
$node->stop('immediate');
$node->start;
is(stats() . stats('two'), '', 'nor over a crash');

# Without a notifier.
$node->append_conf('postgresql.conf', 'tasker_checkpoint.max_notifiers = 0');
$node->restart;
counts(yield_sql(10) x 3, 'yields 3, notifications_sent 3', 'without a notifier');

$node->stop;
done_testing();
