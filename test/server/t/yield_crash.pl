# After a crash committed checkpoints are there, uncommitted ones are not, and
# no history is torn.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(restarted);
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
max_prepared_transactions = 2
log_statement = none
});
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
$node->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps VALUES ('$step');
	CREATE EXTENSION tasker_checkpoint;
});

# A worker that the server, or we, can be killed under.
sub worker
{
	my ($sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/crash_worker.sql";
	my %self = (out => '', err => '');

	unlink $file;
	append_to_file($file, $sql);
	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-f', $file, '-d', $node->connstr('postgres') ],
		'<', \undef, '>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

sub wait_for
{
	my ($worker, $pattern) = @_;
	return pump_until($worker->{run}, $timeout, \$worker->{out}, $pattern);
}

sub yield_sql
{
	my ($n) = @_;
	return "SELECT 'yielded', sequence FROM tasker_checkpoint_yield('$step', '$n', $n);\n";
}

# sequence, newest cursor, and whether all belongs together
sub stored
{
	return $node->safe_psql('postgres', q{
		SELECT sequence, cursor,
			sequence = jsonb_array_length(c -> 'history') + COALESCE((c ->> 'history_truncated')::int, 0)
			AND c -> 'history' -> -1 -> 'cursor' = cursor
			AND c -> 'history' -> -1 ->> 'timestamp' = c ->> 'timestamp'
			AND (SELECT bool_and(gap = 1) FROM (
				SELECT (e -> 'cursor')::int - lag((e -> 'cursor')::int) OVER (ORDER BY i) AS gap
				FROM jsonb_array_elements(c -> 'history') WITH ORDINALITY AS h (e, i)) g) IS NOT FALSE
			AS whole
		FROM tasker_workflow_steps, tasker_checkpoint_load(workflow_step_uuid),
			tasker_checkpoint_get(workflow_step_uuid) c});
}

# A backend is killed in the middle of a transaction.
my $offset = -s $node->logfile;
my $worker = worker(
	"SELECT 'pid', pg_backend_pid();\n"
	  . join('', map { yield_sql($_) } 1 .. 30)
	  . "BEGIN;\n" . yield_sql(31)
	  . "SAVEPOINT a;\n" . yield_sql(32) . "RELEASE a;\n" . yield_sql(33)
	  . "\\echo waiting\nSELECT count(*) FROM generate_series(1, 1000000000000);\n");
ok(wait_for($worker, qr/^waiting$/m), 'a worker is in the middle of its transaction');
my ($pid) = $worker->{out} =~ /^pid\|(\d+)$/m;
is(kill('KILL', $pid), 1, 'its backend is killed');
$worker->{run}->finish;
restarted($node, $offset);
is(stored(), '30|30|t', 'what was committed is there, and nothing else');
is($node->safe_psql('postgres', yield_sql(31)), 'yielded|31', 'the next yield goes on from there');

# The server is stopped without a checkpoint of its own, while a worker yields.
$worker = worker(
	join('', map { yield_sql($_) } 32 .. 400) . "\\echo on its way\n"
	  . join('', map { yield_sql($_) } 401 .. 50_000));
ok(wait_for($worker, qr/^on its way$/m), 'a worker yields');
$node->stop('immediate');
$worker->{run}->finish;
my ($confirmed) = $worker->{out} =~ /.*^yielded\|(\d+)$/ms;
$node->start;
my ($sequence, $cursor, $whole) = split(/\|/, stored());
cmp_ok($sequence, '>=', $confirmed, 'every yield that was confirmed is there');
cmp_ok($sequence, '<=', $confirmed + 1, 'and at most the one that was not');
is("$cursor|$whole", "$sequence|t", 'its history is whole');

# A prepared transaction outlives the server.
my $next = $sequence + 1;
$node->safe_psql('postgres', 'BEGIN;' . yield_sql($next) . "PREPARE TRANSACTION 'yielded';");
$node->stop('immediate');
$node->start;
is(stored(), "$sequence|$sequence|t", 'a yield in a prepared transaction is not there yet');
my ($ret, $stdout, $stderr) =
  $node->psql('postgres', "SET lock_timeout = '10ms';" . yield_sql($next + 1));
like($stderr, qr/lock timeout/, 'but keeps other writers waiting');
$node->safe_psql('postgres', "COMMIT PREPARED 'yielded'");
is(stored(), "$next|$next|t", 'COMMIT PREPARED brings it');

$node->stop;
done_testing();
