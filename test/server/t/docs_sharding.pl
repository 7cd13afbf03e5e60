# The README of examples/sharding, as it stands: a job that is added at the proxy is done by
# a worker of its shard, in the role that the README grants that.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sharding;
use Test::More;

my ($proxy, @shards) = Sharding::start() or plan skip_all => 'PL/Proxy is not installed';

my ($add) = Sharding::lines(@shards);
Sharding::at($proxy, $add x 5, 'jobs are added');
my $jobs = 0;

foreach my $shard (@shards)
{
	my (undef, $worker) = Sharding::lines($shard, $proxy);
	my $log = '';
	my $runs = IPC::Run::start([ 'sh', '-c', "exec env $worker" ], '<', \undef, '>&', \$log);

	my $done = $shard->poll_query_until('app', 'SELECT coalesce(bool_and(processed), true) FROM jobs');
	$runs->signal('TERM');
	ok($runs->finish, 'a worker stops when it is told');
	ok($done, 'when its shard\'s jobs are done') or diag($log), last;
	unlike($log, qr/error=/, 'there was no error') or diag($log);
	is($shard->safe_psql('app', 'SELECT count(*) - 3000 * (SELECT count(*) FROM jobs), count(*) - count(DISTINCT (job, number)) FROM written'),
		'0|0', 'each row is there once');
	$jobs += $shard->safe_psql('app', 'SELECT count(*) FROM jobs');
}
is($jobs, 5, 'none is lost');

$_->stop for $proxy, @shards;
done_testing();
