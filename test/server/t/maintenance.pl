# 5,000 steps are purged and trimmed in batches while workers write to them: each
# once, and no history entry is lost. A standby can count what is due.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $steps = 5000;
my $clients = 6;
my $each = 400;
my $total = $clients * $each;

my $node = PostgreSQL::Test::Cluster->new('maintenance');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
log_statement = none
synchronous_commit = off
deadlock_timeout = 100ms
statement_timeout = 120s
});
$node->start;

$node->safe_psql('postgres', qq{
	CREATE TABLE steps (
		n serial, id uuid PRIMARY KEY DEFAULT gen_random_uuid(), processed boolean NOT NULL DEFAULT false,
		yields int NOT NULL DEFAULT 3, sequence int);
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_attach('steps', 'id');
	INSERT INTO steps SELECT FROM generate_series(1, $steps);
	CREATE INDEX ON steps (n);
	SELECT count(tasker_checkpoint_yield(id, to_jsonb(i), i)) FROM steps, generate_series(1, 3) i;
	CREATE TABLE batches (what text, n bigint);

	-- a checkpoint, and what is counted with it in one transaction
	CREATE FUNCTION work(which int) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		step steps;
	BEGIN
		SELECT * INTO step FROM steps WHERE n = which FOR NO KEY UPDATE;
		IF NOT step.processed THEN
			PERFORM tasker_checkpoint_yield(step.id, to_jsonb(step.yields + 1), step.yields + 1);
			UPDATE steps SET yields = yields + 1 WHERE n = which;
		END IF;
	END\$\$;
	CREATE FUNCTION finish(which int) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		step steps;
	BEGIN
		SELECT * INTO step FROM steps WHERE n = which FOR NO KEY UPDATE;
		IF NOT step.processed THEN
			UPDATE steps SET processed = true, sequence = (tasker_checkpoint_load(step.id)).sequence WHERE n = which;
		END IF;
	END\$\$;
});

is($node->safe_psql('postgres', q{SELECT tasker_checkpoint_purge('0', dry_run => true), tasker_checkpoint_trim(2, dry_run => true),
		tasker_checkpoint_purge_events(dry_run => true)}),
	"0|$steps|0", 'nothing is to be purged, all is to be trimmed');

$node->pgbench(
	"-n -c $clients -j 2 -t $each -D steps=$steps",
	0, [qr{processed: $total/$total}], [qr{^$}], 'nobody fails, and nobody is part of a deadlock',
	{
		'work@12' => q{\set n random(1, :steps)
SELECT work(:n);
},
		'finish@6' => q{\set n random(1, :steps)
SELECT finish(:n);
},
		'two@3' => q{\set n random(1, :steps - 1)
BEGIN;
SELECT work(:n);
SELECT work(:n + 1);
COMMIT;
},
		'purge@1' => q{INSERT INTO batches SELECT 'purge', tasker_checkpoint_purge('0', 100);
},
		'trim@1' => q{INSERT INTO batches SELECT 'trim', tasker_checkpoint_trim(2, '0', 100);
},
		'events@1' => q{INSERT INTO batches SELECT 'events', tasker_checkpoint_purge_events(100);
},
	});

is($node->safe_psql('postgres', q{SELECT bool_and(n BETWEEN 0 AND 100), bool_or(what = 'purge' AND n > 0),
		bool_or(what = 'trim' AND n > 0), bool_or(what = 'events' AND n > 0) FROM batches}),
	't|t|t|t', 'no batch is larger than it may be, and each kind has had something to do');

# What they leave is counted, also on a standby, and then done.
$node->safe_psql('postgres', "SELECT finish(n) FROM steps");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
# replay waits for who reads, however long that takes
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$standby->start;

my $left = q{SELECT tasker_checkpoint_purge('0', dry_run => true), tasker_checkpoint_trim(2, dry_run => true),
	tasker_checkpoint_purge_events(dry_run => true)};
my $counted = $node->safe_psql('postgres', $left);
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $left), $counted, 'a standby counts the same');
like(($standby->psql('postgres', "SELECT tasker_checkpoint_purge('0')"))[2], qr/cannot execute tasker_checkpoint_purge\(\) in a read-only transaction/,
	'but purges nothing');

is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL) || '|'
		|| (SELECT count(*) FROM steps WHERE jsonb_array_length(checkpoint -> 'history') > 2) || '|'
		|| (SELECT count(*) FROM tasker_checkpoint_events)}),
	$counted, 'what was counted is there');

foreach my $call (q{trim(2, '0', 700)}, q{purge('0', 700)}, q{purge_events(700)})
{
	my ($what) = $call =~ /(\w+)\(/;

	$node->safe_psql('postgres', qq{
		DO \$\$
		DECLARE
			done bigint;
		BEGIN
			LOOP
				done := tasker_checkpoint_$call;
				INSERT INTO batches VALUES ('last $what', done);
				COMMIT;
				EXIT WHEN done = 0;
			END LOOP;
		END\$\$});
}
is($node->safe_psql('postgres', q{SELECT string_agg(n::text, '|' ORDER BY o) FROM (
		SELECT array_position(ARRAY['last purge', 'last trim', 'last purge_events'], what) AS o, sum(n) AS n
		FROM batches WHERE what LIKE 'last %' GROUP BY what) b}),
	$counted, 'the batches add up to what was counted');
is($node->safe_psql('postgres', q{SELECT sum(n) FROM batches WHERE what LIKE '%purge'}),
	$steps, 'each checkpoint was purged once');
is($node->safe_psql('postgres', q{SELECT sum(n) FROM batches WHERE what LIKE '%events'}),
	$steps, 'and each event');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL), (SELECT count(*) FROM tasker_checkpoint_events)}),
	'0|0', 'none is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM steps WHERE sequence IS DISTINCT FROM yields'),
	'0', 'each yield was counted in the history, trimmed or not');

$standby->stop;
$node->stop;
done_testing();
