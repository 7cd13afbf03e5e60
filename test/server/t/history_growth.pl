# The ten-thousandth checkpoint of a step is as large, and costs as much, as the
# two-hundredth.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('growth');
$node->init;
# nothing but the yields writes WAL
$node->append_conf('postgresql.conf', q{
autovacuum = off
checkpoint_timeout = 1h
full_page_writes = off
log_statement = none
max_wal_size = 4GB
statement_timeout = 60s
});
$node->start;

my $small = '00000000-0000-0000-0000-000000000001';
my $large = '00000000-0000-0000-0000-000000000002';
$node->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps VALUES ('$small'), ('$large');
	CREATE EXTENSION tasker_checkpoint;
});

# as many digits from the first to the last
my %script = (
	$small => q{\set n :n + 1
SELECT tasker_checkpoint_yield(:step::uuid, to_jsonb(1000000 + :n::int), :n::int, '{"sum": 1}');
},
	# 60,000 bytes that do not compress, smaller than cursor_limit
	$large => q{\set n :n + 1
SELECT tasker_checkpoint_yield(:step::uuid, to_jsonb(string_agg(md5(:n::text || i), '')), :n::int)
FROM generate_series(1, 1875) i;
});

my %done = ($small => 0, $large => 0);

# Goes on to that many yields; returns the bytes of WAL that each took.
sub yield_up_to
{
	my ($step, $n) = @_;
	my $count = $n - $done{$step};

	my $before = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->pgbench("-n -M prepared -t $count -D n=$done{$step} -D step=$step",
		0, [qr{processed: $count/$count}], [qr{^$}], "yields up to $n",
		{ "growth_${step}_$n" => $script{$step} });
	$done{$step} = $n;
	return $node->safe_psql('postgres', "SELECT round((pg_current_wal_insert_lsn() - '$before') / $count)");
}

sub document
{
	my ($step) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT octet_length(c::text), jsonb_array_length(c -> 'history'), c ->> 'history_truncated'
		FROM tasker_checkpoint_get('$step') c});
}

sub history_size
{
	my ($step) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT octet_length(jsonb_send(c -> 'history')) FROM tasker_checkpoint_get('$step') c});
}

sub flat
{
	my ($early, $late, $name) = @_;

	note("$name: $early, then $late");
	cmp_ok($late, '<=', $early * 1.1, "$name does not grow");
}

# small cursors: history_limit bounds the document
yield_up_to($small, 200);
my ($early_size, $entries, $truncated) = split(/\|/, document($small));
is("$entries $truncated", '10 190', 'after 200 yields 10 entries are kept');
my $early_wal = yield_up_to($small, 1200);
yield_up_to($small, 9000);
my $late_wal = yield_up_to($small, 10_000);
(my $late_size, $entries, $truncated) = split(/\|/, document($small));
is("$entries $truncated", '10 9990', 'after 10,000 yields too, and all are accounted for');
flat($early_size, $late_size, 'the document');
flat($early_wal, $late_wal, 'WAL per yield');

# large ones: history_size does
yield_up_to($large, 20);
($early_size, $entries, $truncated) = split(/\|/, document($large));
is("$entries $truncated", '1 19', 'one entry of 60 kB is kept');
$early_wal = yield_up_to($large, 120);
yield_up_to($large, 200);
$late_wal = yield_up_to($large, 300);
($late_size, $entries, $truncated) = split(/\|/, document($large));
is("$entries $truncated", '1 299', 'also of the last, and all are accounted for');
cmp_ok(history_size($large), '<=', 65536, 'the history stays within history_size');
flat($early_size, $late_size, 'the document with a large cursor');
flat($early_wal, $late_wal, 'WAL per yield with a large cursor');

$node->stop;
done_testing();
