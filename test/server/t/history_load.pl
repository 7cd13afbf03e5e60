# Eight clients write to one step: no history entry is lost, whoever writes.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 8;
my $each = 100;
my $total = $clients * $each;

my $node = PostgreSQL::Test::Cluster->new('load');
$node->init;
$node->append_conf('postgresql.conf', q{
log_statement = none
statement_timeout = 60s
});
$node->start;

$node->safe_psql('postgres', q{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	CREATE EXTENSION tasker_checkpoint;
});

# every writer's cursor is its own: client and number
my $cursor = q{\set n :n + 1
};
my $tasker = $cursor . q{UPDATE tasker_workflow_steps
	SET checkpoint = jsonb_set(
			jsonb_build_object('cursor', ARRAY[:client_id::int, :n::int], 'items_processed', 7,
				'timestamp', now(), 'accumulated_results', NULL, 'history', '[]'::jsonb),
			'{history}',
			COALESCE((SELECT checkpoint -> 'history' FROM tasker_workflow_steps
				WHERE workflow_step_uuid = :step::uuid), '[]'::jsonb) ||
			jsonb_build_array(jsonb_build_object('cursor', ARRAY[:client_id::int, :n::int], 'timestamp', now()))),
		updated_at = now()
	WHERE workflow_step_uuid = :step::uuid;
};
my $yield = $cursor
  . q{SELECT tasker_checkpoint_yield(:step::uuid, to_jsonb(ARRAY[:client_id::int, :n::int]), 7);
};
my $save = $cursor
  . q{SELECT tasker_checkpoint_save(:step::uuid, to_jsonb(ARRAY[:client_id::int, :n::int]), 7);
};

my $number = 0;

sub load
{
	my ($name, $settings, $keeps_all, %scripts) = @_;
	my $step = sprintf '00000000-0000-0000-0000-%012d', ++$number;

	$node->safe_psql('postgres', "INSERT INTO tasker_workflow_steps VALUES ('$step')");

	# the settings are an operator's
	local $ENV{PGOPTIONS} = $settings;
	$node->pgbench(
		"-n -M prepared -c $clients -j 2 -t $each -D n=0 -D step=$step",
		0, [qr{processed: $total/$total}], [qr{^$}], "$name: every write is accepted",
		{ map { ("load_${number}_$_" => $scripts{$_}) } keys %scripts });

	my $got = $node->safe_psql('postgres', qq{
		SELECT jsonb_array_length(c -> 'history') + COALESCE((c ->> 'history_truncated')::int, 0),
			jsonb_array_length(c -> 'history'),
			(SELECT bool_and(t > before) FROM (
				SELECT t, lag(t) OVER (ORDER BY i) AS before
				FROM jsonb_path_query(c, '\$.history[*].timestamp') WITH ORDINALITY AS h (t, i)) o
				WHERE before IS NOT NULL)
		FROM tasker_checkpoint_get('$step') c});
	my ($entries, $kept, $ascending) = split(/\|/, $got);
	is($entries, $total, "$name: all $total are accounted for");
	is($ascending, 't', "$name: their times ascend");
	return is($kept, 10, "$name: the newest ten are kept") unless $keeps_all;

	is($kept, $total, "$name: all are kept");
	is( $node->safe_psql('postgres', qq{
			SELECT count(DISTINCT e -> 'cursor'), bool_and(in_order)
			FROM (SELECT e, (e -> 'cursor' -> 1)::int = row_number() OVER (PARTITION BY e -> 'cursor' -> 0 ORDER BY i) AS in_order
				FROM tasker_checkpoint_get('$step') c, jsonb_array_elements(c -> 'history') WITH ORDINALITY AS h (e, i)) o}),
		"$total|t", "$name: each client's own, in its order");
}

my $unlimited = '-c tasker_checkpoint.history_limit=-1 -c tasker_checkpoint.history_size=-1';
my %mixed = ('tasker@1' => $tasker, 'yield@1' => $yield, 'save@1' => $save);

load("Tasker's UPDATE", '', 0, tasker => $tasker);
load("Tasker's UPDATE, no limit", $unlimited, 1, tasker => $tasker);
load('yield', '', 0, yield => $yield);
load('yield, no limit', $unlimited, 1, yield => $yield);
load('all at once', '', 0, %mixed);
load('all at once, no limit', $unlimited, 1, %mixed);

$node->stop;
done_testing();
