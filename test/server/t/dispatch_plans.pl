# With 100,000 pending events every statement on the dispatch table goes by an index,
# with statistics of any age, and reads as few pages as with 100.

use strict;
use warnings;

use List::Util qw(sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dispatch_plans');
$node->init;
# autovacuum takes no statistics behind the test's back
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
		-- pages are marked all-visible by this, hint bits are set
		VACUUM steps, tasker_checkpoint_events;
	});
}

# A life of a step: the plans that are executed in it, by auto_explain.
my $life = q{
	SELECT event_id, step_uuid FROM tasker_checkpoint_claim('one') \gset
	SELECT tasker_checkpoint_heartbeat(:'event_id');
	SELECT sequence FROM tasker_checkpoint_save(:'step_uuid', '1', 1, NULL, :'event_id');
	SELECT event_id FROM tasker_checkpoint_yield(:'step_uuid', '2', 2, NULL, :'event_id') \gset
	SELECT event_id FROM tasker_checkpoint_claim('one', step_uuid => :'step_uuid') \gset
	SELECT tasker_checkpoint_release(:'event_id');
	SELECT event_id FROM tasker_checkpoint_claim('one', step_uuid => :'step_uuid') \gset
	SELECT tasker_checkpoint_complete(:'event_id');
	SELECT tasker_checkpoint_dispatch(:'step_uuid');
};

# Returns the plans that name the dispatch table, each as one text.
sub plans
{
	# the first time plans are made and catalogs are read; plans count no pages of those
	my ($stdout, $stderr);
	$node->psql('postgres', "$life
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_nested_statements = on;
		SET auto_explain.log_analyze = on;
		SET auto_explain.log_buffers = on;
		SET auto_explain.log_timing = off;
		SET auto_explain.log_level = notice;
		SET client_min_messages = notice;
		$life", stdout => \$stdout, stderr => \$stderr, on_error_die => 1);
	return grep { /tasker_checkpoint_events\b/ && !/^Query Text: SELECT [^F]* FROM tasker_checkpoint_/m }
		split /^.*NOTICE:  duration: .*plan:\n/m, $stderr;
}

# Pages that the top node of each plan has read or found, added up.
sub pages
{
	return sum(map { /^\s*Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/m ? ($1 // 0) + ($2 // 0) : 0 } @_);
}

my %pages;
foreach my $case ([ 100, 'never' ], [ 100, 'fresh' ], [ 100_000, 'never' ], [ 100_000, 'of an empty table' ], [ 100_000, 'fresh' ])
{
	my ($count, $statistics) = @$case;
	my $name = "$count events, statistics $statistics";

	$node->safe_psql('postgres', 'TRUNCATE tasker_checkpoint_events; ANALYZE tasker_checkpoint_events')
		if $statistics eq 'of an empty table';
	fill($count);
	$node->safe_psql('postgres', 'ANALYZE steps, tasker_checkpoint_events') if $statistics eq 'fresh';

	my @plans = plans();
	my $all = join "\n", @plans;
	my $claim = (grep { /ORDER BY available_at/ } @plans)[0];

	cmp_ok(scalar @plans, '>=', 12, "$name: plans were seen");
	like($claim, qr/Index Scan using tasker_checkpoint_events_claimable/, "$name: a claim goes by its index");
	like($all, qr/Index Scan using tasker_checkpoint_events_pkey/, "$name: by step, the key");
	like($all, qr/Index Scan using tasker_checkpoint_events_event_id/, "$name: by event, the event's");
	unlike($all, qr/Seq Scan|Bitmap|Sort/, "$name: nothing is read whole or sorted");
	$pages{$name} = pages(@plans);
	note("$name: $pages{$name} pages in " . scalar(@plans) . ' plans');
	cmp_ok(pages($claim), '<=', 20, "$name: a claim reads few pages");
}

# an index of 100,000 has a level or two more
cmp_ok($pages{"100000 events, statistics $_"}, '<=', 2 * $pages{"100 events, statistics $_"},
	"a step's life reads as few pages with 100,000 events, statistics $_")
	foreach qw(never fresh);

$node->stop;
done_testing();
