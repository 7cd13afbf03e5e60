# Steps that workers do while things break, and what must be so afterwards: of what was
# acknowledged nothing is lost, and what is stored is whole.

package Reliability;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(acknowledged amcheck_problems begin_round contents either end_round figure has_acknowledged missing
	nothing_lost prepare problems restarted start_workers stop_workers stored wait_for_standby wait_until);

my $folder;

# Prints a figure, which test/run.sh passes on and test/reliability.sh writes into
# docs/reliability.md.
sub figure
{
	my ($key, $text) = @_;
	diag("figure $key: $text");
	return;
}

# Waits for a condition that no query tells.
sub wait_until
{
	my ($what, $condition) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		die "waited in vain: $what" if time > $deadline;
		select(undef, undef, undef, 0.02);
	}
	return;
}

# Waits until a server that has crashed since this offset of its log is back by itself.
sub restarted
{
	my ($node, $offset) = @_;

	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	# without a query, which could not be written to a psql that has already given up
	$node->poll_query_until('postgres', undef, '') or die 'the server does not come back';
	return;
}

# The tables. Rows of work that were written with a checkpoint say with which.
sub prepare
{
	my ($node) = @_;

	$node->safe_psql('postgres', q{
		CREATE TABLE steps (id uuid PRIMARY KEY, round int NOT NULL, processed boolean NOT NULL DEFAULT false, updated_at timestamptz);
		CREATE TABLE work (step uuid NOT NULL, item int NOT NULL, upto int NOT NULL);
		CREATE INDEX ON work (step, item);
		CREATE EXTENSION tasker_checkpoint;
		SELECT tasker_checkpoint_attach('steps', 'id');
		CREATE ROLE worker LOGIN;
		GRANT SELECT, INSERT, UPDATE ON steps, work TO worker;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO worker;
	});
	return;
}

# Some steps to begin with.
sub begin_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres', qq{
		INSERT INTO steps (id, round) SELECT md5('$round ' || i)::uuid, $round FROM generate_series(1, 8) i;
		SELECT count(tasker_checkpoint_dispatch(id)) FROM steps WHERE round = $round});
	return;
}

# Takes away what is still dispatched; its checkpoints stay, to be looked at again.
sub end_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres', qq{
		SELECT count(tasker_checkpoint_complete(event_id)) FROM tasker_checkpoint_events;
		UPDATE steps SET processed = true WHERE round = $round AND NOT processed});
	return;
}

# Where workers find the primary, whichever of the servers that is.
sub either
{
	my @nodes = @_;
	my ($hosts, $ports) = map { my $what = $_; join(',', map { $_->$what } @nodes) } 'host', 'port';
	return "host=$hosts port=$ports target_session_attrs=read-write dbname=postgres";
}

# Lets commits wait for a standby.
sub wait_for_standby
{
	my ($primary, $standby) = @_;

	$primary->adjust_conf('postgresql.conf', 'synchronous_standby_names', "'" . $standby->name . "'");
	$primary->reload;
	$primary->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')") or die 'no standby';
	# they do from when the checkpointer has read the setting, which it does between two checkpoints
	$primary->safe_psql('postgres', 'CHECKPOINT');
	return;
}

# Where a worker notes what it does.
sub notes
{
	my ($round, $worker) = @_;

	$folder //= PostgreSQL::Test::Utils::tempdir();
	return "$folder/round${round}_worker$worker";
}

# $one_message: they send a transaction as one message, without BEGIN and COMMIT.
sub start_workers
{
	my ($connstr, $round, $workers, $seed, $one_message) = @_;
	my $errors = '';

	return map {
		IPC::Run::start(
			[ $^X, "-I$ENV{TESTDIR}/test/server", '-MWorker', '-e', 'Worker::run(@ARGV)',
				"$connstr user=worker", "worker$_", $round, notes($round, $_), $seed * 1000 + $round * 10 + $_,
				$one_message ? 1 : 0 ],
			'<', \undef, '2>', \$errors)
	} 1 .. $workers;
}

sub stop_workers
{
	$_->signal('TERM') foreach @_;
	# one that has not yet begun ends by the signal
	$_->finish or $_->full_result(0) == 15 or die 'a worker failed' foreach @_;
	return;
}

# What the workers of a round have tried, and what was acknowledged.
sub acknowledged
{
	my ($round) = @_;
	my (%tried, %acknowledged);

	foreach my $file (glob(notes($round, '?')))
	{
		foreach (split /\n/, slurp_file($file))
		{
			s/^(?:save|yield) /checkpoint /;
			if (s/^try (?:save |yield )?//) { $tried{$_} = 1; }
			else { $acknowledged{$_} = 1; }
		}
	}
	return (\%acknowledged, \%tried);
}

# Waits until so much of a round is acknowledged.
sub has_acknowledged
{
	my ($round, $enough) = @_;

	wait_until("round $round acknowledges $enough", sub { return keys %{ (acknowledged($round))[0] } >= $enough });
	return;
}

# What of the one is not in the other.
sub missing
{
	my ($of, $in) = @_;
	return grep { !$in->{$_} } sort keys %$of;
}

# What is stored, in the same words.
sub stored
{
	my ($node, $round) = @_;

	return map { $_ => 1 } split(/\n/, $node->safe_psql('postgres', qq{
		SELECT 'checkpoint ' || step || ' ' || upto || ' ' || row_number() OVER (PARTITION BY step ORDER BY upto)
		FROM (SELECT DISTINCT step, upto FROM work WHERE step IN (SELECT id FROM steps WHERE round = $round)) w
		UNION ALL SELECT 'dispatch ' || id FROM steps WHERE round = $round
		UNION ALL SELECT 'complete ' || id FROM steps WHERE round = $round AND processed}));
}

# All rows of the tables, so that two servers can be compared.
sub contents
{
	my ($node) = @_;
	return $node->safe_psql('postgres', join(';', map { "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM $_ t" }
		'steps', 'work', 'tasker_checkpoint_events', 'tasker_checkpoint_archive'));
}

# What is wrong with the steps of a round, whose workers have stopped. The rows that were
# written with the checkpoints say how those must be: $archived, all of them; else the newest.
sub problems
{
	my ($node, $round, $archived) = @_;
	$archived = $archived ? 'true' : 'false';

	return split(/\n/, $node->safe_psql('postgres', qq{
		CREATE TEMPORARY TABLE s AS
		SELECT id, processed, checkpoint AS c, has_checkpoint, items_processed AS items, sequence, w.*,
			array_remove(ARRAY(SELECT (e ->> 'cursor')::int FROM jsonb_array_elements(checkpoint -> 'history') WITH ORDINALITY h (e, i) ORDER BY i), NULL) AS kept,
			ARRAY(SELECT cursor::text::int FROM tasker_checkpoint_history(id) ORDER BY generation, sequence) AS trail,
			ARRAY(SELECT sequence FROM tasker_checkpoint_history(id) ORDER BY generation, sequence) AS numbers,
			ARRAY(SELECT checkpointed_at FROM tasker_checkpoint_history(id) ORDER BY generation, sequence) AS times
		FROM steps, tasker_checkpoint_load(id), LATERAL (
			SELECT count(*) AS n, count(DISTINCT item) AS different, coalesce(max(item), 0) AS highest,
				coalesce(array_agg(DISTINCT upto), '{}') AS uptos
			FROM work WHERE step = id) w
		WHERE round = $round;

		SELECT 'rows are not those of the checkpoint: ' || id || ': ' || n || ' rows, ' || items || ' items'
		FROM s WHERE (n, different, highest) <> (items, items, items)
		UNION ALL
		SELECT 'not as many checkpoints as transactions: ' || id FROM s WHERE sequence <> cardinality(uptos)
		UNION ALL
		SELECT 'the document is not whole: ' || id FROM s
		WHERE has_checkpoint AND (c ->> 'cursor' = items::text AND c #>> '{accumulated_results,sum}' = (items * (items + 1) / 2)::text
			AND cardinality(kept) = least(sequence, 10) AND sequence = cardinality(kept) + coalesce((c ->> 'history_truncated')::int, 0)
			AND c #> '{history,-1}' = jsonb_build_object('cursor', c -> 'cursor', 'items_processed', c -> 'items_processed', 'timestamp', c -> 'timestamp')
			AND kept = uptos[cardinality(uptos) - cardinality(kept) + 1 :]) IS NOT true
		UNION ALL
		SELECT 'history or archive has a hole: ' || id FROM s
		WHERE (CASE WHEN $archived THEN trail ELSE trail[cardinality(trail) - cardinality(kept) + 1 :] END
				= CASE WHEN $archived THEN uptos ELSE kept END
			AND (NOT $archived OR numbers = ARRAY(SELECT generate_series(1, sequence)))
			AND times = ARRAY(SELECT DISTINCT t FROM unnest(times) t ORDER BY t)) IS NOT true
		UNION ALL
		SELECT 'an event is lost, or is left: ' || id FROM s LEFT JOIN tasker_checkpoint_events e ON step_uuid = id
		WHERE processed = (event_id IS NOT NULL) OR directive <> 'continue' OR parked;

		-- all claims run out, and everything is claimed
		BEGIN;
		UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = '2000-01-01' WHERE worker IS NOT NULL;
		SELECT 'not to be claimed, or not where it was: ' || id
		FROM (SELECT * FROM s WHERE NOT processed) s FULL JOIN tasker_checkpoint_claim('all', max_steps => 1000) d ON id = step_uuid
		WHERE (d.items_processed = items AND d.sequence = s.sequence AND d.cursor IS NOT DISTINCT FROM c -> 'cursor') IS NOT true;
		ROLLBACK;
	}));
}

# Nothing is lost of a round whose workers have stopped, and it is whole. Returns how many
# checkpoints were acknowledged, and how many of them are lost.
sub nothing_lost
{
	my ($node, $round, $name) = @_;
	my ($heard) = acknowledged($round);
	my %stored = stored($node, $round);
	my @missing = missing($heard, \%stored);

	is(join("\n", @missing), '', "$name: nothing that was acknowledged is lost");
	is(join("\n", problems($node, $round, 1)), '', "$name: nothing is half there, and every step goes on");
	return map { scalar grep { /^checkpoint/ } @$_ } [ keys %$heard ], \@missing;
}

# What amcheck finds in heaps and indexes of steps, events, archive and work, every row
# looked up in its indexes.
sub amcheck_problems
{
	my ($node) = @_;
	my ($status, $out, $err) = $node->psql('postgres', q{
		CREATE EXTENSION IF NOT EXISTS amcheck;
		CREATE TEMPORARY TABLE t AS
		SELECT oid, reltoastrelid FROM pg_class
		WHERE oid IN ('steps'::regclass, 'work'::regclass, 'tasker_checkpoint_events'::regclass, 'tasker_checkpoint_archive'::regclass);
		INSERT INTO t SELECT reltoastrelid, 0 FROM t WHERE reltoastrelid <> 0;
		SELECT t.oid::regclass, v.* FROM t, verify_heapam(t.oid) v;
		SELECT count(bt_index_check(indexrelid, true)) FROM pg_index WHERE indrelid IN (SELECT oid FROM t) \g /dev/null
	});
	return grep { /\S/ } split(/\n/, $out), grep { !/NOTICE/ } split(/\n/, $err);
}

1;
