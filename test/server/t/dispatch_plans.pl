# With 100,000 pending events the dispatch table is only ever read by its indexes, and
# a step's life touches about as many pages as with 100.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dispatch_plans');
$node->init;
# nothing else touches the table
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION tasker_checkpoint;
	CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
	SELECT tasker_checkpoint_attach('steps');
});

# Has so many events, each waiting since its own time.
sub fill
{
	my ($count) = @_;
	$node->safe_psql('postgres', qq{
		TRUNCATE steps, tasker_checkpoint_events;
		INSERT INTO steps SELECT md5(n::text)::uuid, false FROM generate_series(1, $count) n;
		INSERT INTO tasker_checkpoint_events (step_uuid, event_id, directive, available_at, deliveries, parked, sequence)
		SELECT md5(n::text)::uuid, gen_random_uuid(), 'continue', timestamptz '2000-01-01' + n * interval '1 s', 0, false, 0
		FROM generate_series(1, $count) n;
		VACUUM steps, tasker_checkpoint_events;
		SELECT pg_stat_force_next_flush();
	});
}

# A life of a step, ten times: every function that works on the table.
my $life = q{
	SELECT event_id, step_uuid FROM tasker_checkpoint_claim('one') \gset
	SELECT tasker_checkpoint_heartbeat(:'event_id');
	SELECT sequence FROM tasker_checkpoint_save(:'step_uuid', '1', 1, NULL, :'event_id');
	SELECT event_id FROM tasker_checkpoint_yield(:'step_uuid', '2', 2, NULL, :'event_id') \gset
	SELECT event_id FROM tasker_checkpoint_claim('one', step_uuid => :'step_uuid') \gset
	SELECT tasker_checkpoint_release(:'event_id');
	SELECT event_id FROM tasker_checkpoint_claim('one', step_uuid => :'step_uuid') \gset
	SELECT tasker_checkpoint_pause(:'step_uuid'), tasker_checkpoint_resume(:'step_uuid');
	SELECT tasker_checkpoint_complete(:'event_id');
	SELECT tasker_checkpoint_dispatch(:'step_uuid');
	SELECT sequence FROM tasker_checkpoint_rewind(:'step_uuid', 1);
} x 10;

# Scans of the whole table, scans of each index, pages of both. What a session has
# counted is there once it was told to tell, at the latest when it has ended, which
# nobody waits for.
my $tell = 'SELECT pg_stat_force_next_flush();';
my $figures = q{
	SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'tasker_checkpoint_events';
	SELECT min(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'tasker_checkpoint_events';
	SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read
	FROM pg_statio_user_tables WHERE relname = 'tasker_checkpoint_events';
};

# What a life adds to these.
sub spent
{
	my @before = split /\n/, $node->safe_psql('postgres', $figures);
	$node->safe_psql('postgres', "$life$tell");
	my @after = split /\n/, $node->safe_psql('postgres', $figures);
	return map { $after[$_] - $before[$_] } 0 .. 2;
}

my %pages;
foreach my $count (100, 100_000)
{
	fill($count);
	my ($whole, $by_index, $pages) = spent();
	$pages{$count} = $pages;
	note("$count events: $pages pages");
	is($whole, 0, "$count events: the table is not read whole");
	cmp_ok($by_index, '>=', 10, "$count events: each index is used");
}

# the indexes of 100,000 have a level or two more
cmp_ok($pages{100_000}, '<=', 2 * $pages{100}, 'about as few pages are touched with 100,000 events');

$node->stop;
done_testing();
