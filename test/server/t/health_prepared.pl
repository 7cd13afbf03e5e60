# Health names the prepared transaction that has a step, or its dispatch, and
# that everybody else would wait for.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('health_prepared');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
max_prepared_transactions = 20
});
$node->start;
$node->safe_psql('postgres', q{
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
CREATE FUNCTION step(integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$SELECT format('00000000-0000-0000-0000-%s', lpad($1::text, 12, '0'))::uuid$$;
CREATE ROLE reader LOGIN;
CREATE ROLE tenant LOGIN;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_them ON steps TO reader USING (true);
CREATE POLICY some_of_them ON steps TO tenant USING (id <= step(5));
GRANT SELECT ON steps TO tenant;
INSERT INTO steps SELECT step(i) FROM generate_series(1, 20) i;
CREATE DATABASE other;
});

# What health says, of the steps 10 to 99 by their last two digits.
sub findings
{
	my ($node, @extra) = @_;
	return $node->safe_psql('postgres',
		"SELECT right(step_uuid::text, 2), finding, severity, statement FROM tasker_checkpoint_health ORDER BY 1, 2", @extra);
}

# Prepares a transaction of these statements.
sub prepare
{
	my ($gid, $sql) = @_;
	$node->safe_psql('postgres', "BEGIN; $sql; PREPARE TRANSACTION '$gid'");
	return;
}

is(findings($node), '', 'nothing is prepared, nothing is said');
$node->safe_psql('other', "BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'of another database'");
prepare('of another table', 'CREATE TABLE another ()');
is(findings($node), '', 'nor of those that have no step');

# A worker has saved, and is gone.
$node->safe_psql('postgres', 'SELECT tasker_checkpoint_dispatch(step(i)) FROM generate_series(1, 8) i');
my $event = $node->safe_psql('postgres', "SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, step(1))");
prepare("it''s", "SELECT tasker_checkpoint_save(step(1), '1', 1, NULL, '$event')");
is(findings($node), q{01|prepared|warning|ROLLBACK PREPARED 'it''s';}, 'a save');
like($node->safe_psql('postgres', 'SELECT detail FROM tasker_checkpoint_health'), qr/'it''s'.*COMMIT PREPARED or ROLLBACK PREPARED/,
	'the detail has both ways out');
$node->safe_psql('postgres', "UPDATE tasker_checkpoint_events SET available_at = '2000-01-01' WHERE step_uuid = step(2)");
like(findings($node), qr/^01\|prepared.*\n02\|unclaimed/, 'other findings of other steps stay');

# It has waited for long.
is($node->safe_psql('postgres', "SELECT severity FROM tasker_checkpoint_health(expired => '0') WHERE step_uuid = step(1)"),
	'warning', 'a finding of expired leases that is turned off makes it no worse');
ok($node->poll_query_until('postgres', "SELECT severity = 'critical' FROM tasker_checkpoint_health(expired => '1 second') WHERE step_uuid = step(1)"),
	'from the threshold of expired leases on it is critical');

# The statement that is proposed works, and the others after it.
$node->safe_psql('postgres', $node->safe_psql('postgres', "SELECT statement FROM tasker_checkpoint_health WHERE step_uuid = step(1)"));
$node->safe_psql('postgres', 'SELECT tasker_checkpoint_reset_for_retry(step(i)) FROM generate_series(1, 2) i');
is(findings($node), '', 'the statement ends it');

# A coordinator calls its transaction what it likes.
my $gid = q{E'a\\n''b\\\\c\\x1b[2J'};
$node->safe_psql('postgres', "BEGIN; SELECT tasker_checkpoint_pause(step(2)); PREPARE TRANSACTION $gid");
is(findings($node), "02|prepared|warning|ROLLBACK PREPARED $gid;", 'its name steers no terminal');
like($node->safe_psql('postgres', 'SELECT detail FROM tasker_checkpoint_health'), qr/^The prepared transaction \Q$gid\E has the step/, 'nor in the detail');
$node->safe_psql('postgres', $node->safe_psql('postgres', 'SELECT statement FROM tasker_checkpoint_health'));
is(findings($node), '', 'and the statement means it');

# Every way to have a row: of the steps, of the dispatch; changed, locked, made,
# deleted; in a savepoint; together with others.
prepare('yield', "SELECT tasker_checkpoint_yield(step(2), '1', 1)");
prepare('update', "UPDATE steps SET checkpoint = '{\"cursor\": 1, \"items_processed\": 1}' WHERE id = step(3)");
prepare('locked', 'SELECT FROM steps WHERE id = step(4) FOR UPDATE');
prepare('pause', 'SELECT tasker_checkpoint_pause(step(5))');
prepare('complete', 'SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events WHERE step_uuid = step(6)');
prepare('savepoint', 'SAVEPOINT a; SELECT tasker_checkpoint_clear(step(7)); RELEASE a');
prepare('dispatch', 'SELECT tasker_checkpoint_dispatch(step(i)) FROM generate_series(9, 10) i');
prepare('only paused', 'SAVEPOINT a; SELECT tasker_checkpoint_pause(step(11))');
prepare('rolled back', 'SAVEPOINT a; SELECT tasker_checkpoint_pause(step(8)); ROLLBACK TO a');
prepare('shared', 'SELECT FROM steps WHERE id = step(12) FOR KEY SHARE');
prepare('shared, too', 'SELECT FROM steps WHERE id = step(12) FOR NO KEY UPDATE');
my $all = join("\n", map { sprintf "%02d|prepared|warning|ROLLBACK PREPARED '%s';", @$_ } (
	[ 2, 'yield' ], [ 3, 'update' ], [ 4, 'locked' ], [ 5, 'pause' ], [ 6, 'complete' ], [ 7, 'savepoint' ],
	[ 9, 'dispatch' ], [ 10, 'dispatch' ], [ 11, 'only paused' ]));
my $seen = findings($node);
is(join("\n", grep { !/^12/ } split(/\n/, $seen)), $all, 'however it has it');
unlike($seen, qr/^12/m, 'a step that is not dispatched and has no checkpoint is not shown for its own row');

# What is prepared outlives the server.
$node->restart;
is(join("\n", grep { !/^12/ } split(/\n/, findings($node))), $all, 'also after a restart');

# A reader sees the same, by its rights on the steps; row security counts.
$node->safe_psql('postgres', 'GRANT SELECT ON steps TO reader');
is(findings($node, extra_params => [ '-U', 'reader' ]), findings($node), 'a reader sees the same');
$node->safe_psql('postgres', q{REVOKE SELECT ON steps FROM reader; GRANT SELECT (id, processed, checkpoint) ON steps TO reader});
unlike(findings($node, extra_params => [ '-U', 'reader' ]), qr/update|locked/, 'not of rows whose columns it can only read in part');
like(findings($node, extra_params => [ '-U', 'reader' ]), qr/yield/, 'but of the dispatch');
$seen = findings($node, extra_params => [ '-U', 'tenant' ]);
like($seen, qr/02\|prepared/, 'of steps that it sees');
unlike($seen, qr/^(06|09|10)/m, 'and of no others');

$node->safe_psql('postgres', "COMMIT PREPARED '$_'") for ('yield', 'update', 'pause', 'complete', 'savepoint', 'dispatch');
$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for ('locked', 'only paused', 'rolled back', 'shared', 'shared, too', 'of another table');
is(findings($node), '', 'when all are ended there is nothing left');

# A row of no step, which only somebody makes who has taken the constraints away.
$node->safe_psql('postgres', q{
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT tasker_checkpoint_events_pkey, ALTER step_uuid DROP NOT NULL;
CREATE UNIQUE INDEX ON tasker_checkpoint_events (step_uuid);
DELETE FROM tasker_checkpoint_events;
SELECT tasker_checkpoint_dispatch(step(13));
INSERT INTO tasker_checkpoint_events SELECT (json_populate_record(e, '{"step_uuid": null, "event_id": null, "directive": "pause"}')).*
FROM tasker_checkpoint_events e;
});
my $row = q{INSERT INTO tasker_checkpoint_events SELECT (json_populate_record(e, '{"step_uuid": null, "event_id": null, "directive": "cancel"}')).*
	FROM tasker_checkpoint_events e WHERE step_uuid IS NOT NULL};
prepare('of none', $row);
prepare('of none, too', "$row; DELETE FROM tasker_checkpoint_events WHERE step_uuid IS NULL AND directive = 'pause'");
prepare('of one, too', "SELECT tasker_checkpoint_pause(step(13)); $row");
is(findings($node), "13|prepared|warning|ROLLBACK PREPARED 'of one, too';", 'a row of no step has nothing to be told of');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tasker_checkpoint_progress WHERE step_uuid IS NULL'), '0', 'nor is it a step of its own');
$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for ('of none', 'of none, too', 'of one, too');
is($node->safe_psql('postgres', q{DELETE FROM tasker_checkpoint_events WHERE step_uuid IS NOT NULL;
	DROP TRIGGER zz_tasker_checkpoint_guard ON steps; COMMENT ON COLUMN steps.checkpoint IS NULL;
	SELECT count(*) FROM tasker_checkpoint_health}), '0', 'and where no table is attached it is no step that is dispatched');

$node->safe_psql('other', "ROLLBACK PREPARED 'of another database'");
$node->stop;
done_testing();
