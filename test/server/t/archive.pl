# With archive_history the whole trail of a step is kept: under eight writers,
# for who reads meanwhile, over clears, a crash, a dump and a restore, and on a
# standby.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 8;
my $each = 1250;
my $total = $clients * $each;
my $step = '00000000-0000-0000-0000-000000000001';

my $node = PostgreSQL::Test::Cluster->new('archive');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
log_statement = none
tasker_checkpoint.archive_history = on
});
$node->start;
$node->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	CREATE EXTENSION tasker_checkpoint;
	INSERT INTO tasker_workflow_steps VALUES ('$step');
});

# How a trail is: entries, generations; and false where something is missing,
# there twice, or out of order.
my $summary = qq{
	SELECT (SELECT count(*) FROM trail), count(*), bool_and(first = 1 AND last = n AND distinct_n = n) AND (
		SELECT bool_and(in_order)
		FROM (SELECT ROW(generation, sequence) > lag(ROW(generation, sequence)) OVER w IS NOT false
				AND checkpointed_at > lag(checkpointed_at) OVER w IS NOT false AS in_order
			FROM trail WINDOW w AS (ORDER BY ordinality)) o)
	FROM (SELECT min(sequence) AS first, max(sequence) AS last, count(*) AS n, count(DISTINCT sequence) AS distinct_n
		FROM trail GROUP BY generation) g
};
my $trail = "WITH trail AS MATERIALIZED (SELECT * FROM tasker_checkpoint_history('$step') WITH ORDINALITY) $summary";

# Somebody reads again and again while all write; a trail that is wrong divides
# by zero.
my $writer = qq{\\set n :n + 1
SELECT tasker_checkpoint_yield('$step', to_jsonb(ARRAY[:client_id::int, :n::int]), 7);
};
my $reader = qq{WITH trail AS MATERIALIZED (SELECT * FROM tasker_checkpoint_history('$step') WITH ORDINALITY),
	summary AS ($summary)
SELECT 1 / (bool_and IS NOT false)::int FROM summary AS s (count, generations, bool_and);
};
sub write_all
{
	my ($t, $what) = @_;
	my $stop = 0;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/reader.sql';
	append_to_file($script, $reader);
	my ($out, $err) = ('', '');
	my $reading = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 2, '-T', 120, '-f', $script, $node->connstr('postgres') ], '>', \$out, '2>', \$err);
	$node->pgbench("-n -M prepared -c $clients -j 2 -t $t -D n=0", 0, [qr{processed: \d+/\d+}], [qr{^$}],
		"$what: every yield is accepted", { "archive_$t" => $writer });
	# ended as an interactive user would
	$reading->signal('INT');
	$reading->finish;
	unlike($err, qr/ERROR/, "$what: who reads sees a whole trail every time");
	return;
}
write_all($each, 'eight writers');
is($node->safe_psql('postgres', $trail), "$total|1|t", "$total entries in order, once each");
is($node->safe_psql('postgres', qq{
		SELECT count(DISTINCT cursor), bool_and(in_order)
		FROM (SELECT cursor, (cursor -> 1)::int = row_number() OVER (PARTITION BY cursor -> 0 ORDER BY sequence) AS in_order
			FROM tasker_checkpoint_history('$step')) o}),
	"$total|t", "each writer's own, in its order");
is($node->safe_psql('postgres', "SELECT jsonb_array_length(checkpoint -> 'history'), checkpoint ->> 'history_truncated' FROM tasker_workflow_steps"),
	'10|' . ($total - 10), 'the checkpoint has its 10');
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM tasker_checkpoint_archive');
cmp_ok($rows, '<=', $total / 10, "the archive has a row for each ten ($rows)");

# Clears between the yields: each ends a generation, and loses nothing.
$node->safe_psql('postgres', 'CREATE TABLE accepted (client int, n int)');
my $noted = $writer =~ s/SELECT/BEGIN;\nINSERT INTO accepted VALUES (:client_id, :n);\nSELECT/r . "COMMIT;\n";
my $clear = "SELECT tasker_checkpoint_clear('$step');\n";
$node->pgbench("-n -c $clients -j 2 -t 200 -D n=10000", 0, [qr{processed: 1600/1600}], [qr{^$}],
	'yields and clears', { 'archive_yield@20' => $noted, 'archive_clear@1' => $clear });
my ($entries, $generations, $whole) = split(/\|/, $node->safe_psql('postgres', $trail));
is($whole, 't', 'each generation is whole');
cmp_ok($generations, '>', 10, "there are some ($generations)");
is($node->safe_psql('postgres', qq{
		SELECT count(*), count(n), count(cursor) FROM accepted
		FULL JOIN (SELECT cursor FROM tasker_checkpoint_history('$step') WHERE (cursor -> 1)::int > 10000) h
			ON cursor = to_jsonb(ARRAY[client, n])}),
	join('|', ($entries - $total) x 3), 'each yield that was accepted has its entry');

# The last of them may have been a clear, which leaves a generation without an entry.
$node->safe_psql('postgres', "SELECT tasker_checkpoint_save('$step', '0', 7)");
$entries++;

# What a transaction has archived and not committed is gone after a crash, and so
# is what it stored.
my $before = $node->safe_psql('postgres', $trail);
my $psql = $node->background_psql('postgres');
$psql->query_safe("BEGIN; SELECT count(tasker_checkpoint_save('$step', to_jsonb(i), 7)) FROM generate_series(1, 300) i");
$node->stop('immediate');
eval { $psql->quit };
$node->start;
is($node->safe_psql('postgres', $trail), $before, 'after a crash the trail is that of what was committed');
$node->safe_psql('postgres', "SELECT count(tasker_checkpoint_save('$step', to_jsonb(i), 7)) FROM generate_series(1, 300) i");
($entries, $generations, $whole) = split(/\|/, $node->safe_psql('postgres', $trail));
is("$entries|$generations|$whole", join('|', (split(/\|/, $before))[0] + 300, (split(/\|/, $before))[1], 't'), 'and goes on');

# A standby has it, and can be asked.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('archive_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
# replay waits for who reads, however long that takes
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
is($standby->safe_psql('postgres', $trail), $node->safe_psql('postgres', $trail), 'a standby has the same trail');
$standby->stop;

# A dump has it, and a restore goes on with it.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/archive.dump';
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', $trail), $node->safe_psql('postgres', $trail), 'a restore has the same trail');
$node->safe_psql('restored', "SELECT count(tasker_checkpoint_save('$step', to_jsonb(i), 7)) FROM generate_series(1, 300) i");
my @restored = split(/\|/, $node->safe_psql('restored', $trail));
is("@restored[0, 1, 2]", ($entries + 300) . " $generations t", 'and goes on with it');

# What is old is purged while workers write.
$node->safe_psql('postgres', q{
	UPDATE tasker_checkpoint_archive SET archived_at = archived_at - interval '3 months' WHERE generation = 1});
my $purge = "SELECT tasker_checkpoint_purge_archive('1 month');\n";
$node->pgbench("-n -c 4 -j 2 -t 200 -D n=0", 0, [qr{processed: 800/800}], [qr{^$}],
	'what is old is purged under load', { 'archive_purge_yield@4' => $writer, 'archive_purge@1' => $purge });
is($node->safe_psql('postgres', "SELECT min(generation) FROM tasker_checkpoint_history('$step')"), '2', 'it is gone');
is((split(/\|/, $node->safe_psql('postgres', $trail)))[2], 't', 'the rest is whole');

$node->stop;
done_testing();
