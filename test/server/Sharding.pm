# examples/sharding on three servers, for tests.

package Sharding;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;

# The proxy and two shards, with a role batch_worker; nothing without PL/Proxy.
sub start
{
	my $proxy = PostgreSQL::Test::Cluster->new('proxy');
	my @shards = map { PostgreSQL::Test::Cluster->new("shard_$_") } 0, 1;

	foreach my $node ($proxy, @shards)
	{
		$node->init;
		$node->append_conf('postgresql.conf', q{
log_statement = none
shared_preload_libraries = tasker_checkpoint
});
		$node->start;
		return if $node == $proxy
		  && $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0';
		$node->safe_psql('postgres', 'CREATE ROLE batch_worker LOGIN');
	}
	foreach my $n (0, 1)
	{
		script($shards[$n], 'examples/sharding/shard.sql', '-v', "shard=$n", '-v', 'shards=2');
		script($shards[$n], 'examples/grants.sql', '-v', 'worker=batch_worker');
		$shards[$n]->safe_psql('postgres', 'GRANT INSERT, SELECT ON jobs TO batch_worker');
	}
	script($proxy, 'examples/sharding/proxy.sql', map { ('-v', "shard$_=" . $shards[$_]->connstr('postgres')) } 0, 1);
	return ($proxy, @shards);
}

# Runs a file as its header says.
sub script
{
	my ($node, $file, @variables) = @_;
	$node->command_ok([ 'psql', '-Xq', @variables, '-f', $file, '-d', $node->connstr('postgres') ], $file);
	return;
}

1;
