# examples/sharding on three servers, set up as its README says, for tests.

package Sharding;

use strict;
use warnings;

use Blocks qw(blocks);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use Test::More;

# The README's blocks: the demo, a shard, the proxy, a job and a worker.
my (undef, $shard, $proxy_alone, $work) = map { $_->{code} } blocks('examples/sharding/README.md', 'sh');

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
	}
	for my $n (0, 1)
	{
		$shard =~ s/shard=\d/shard=$n/;
		at($shards[$n], $shard, "the README's shard $n");
	}
	at($proxy, addressed($proxy_alone, @shards), "the README's proxy");
	return ($proxy, @shards);
}

# Runs what the README says on a server.
sub at
{
	my ($node, $code, $name) = @_;
	my $printed;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;

	ok(IPC::Run::run([ 'sh', '-e' ], '<', \$code, '>&', \$printed), $name) or diag($printed);
	return;
}

# The README's hosts become servers, in their order.
sub addressed
{
	my ($code, @nodes) = @_;
	my %host;

	@host{ 'a', 'b' } = map { 'host=' . $_->host . ' port=' . $_->port } @nodes;
	$code =~ s/host=([ab])\b/$host{$1}/g;
	return $code;
}

# The README's lines that add a job, and that start a worker of the first of these.
sub lines
{
	return split(/^/m, addressed($work, @_));
}

1;
