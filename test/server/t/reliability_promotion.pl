# With a synchronous standby nothing that was acknowledged is lost when the primary is
# killed, or stopped, while workers write, and the standby takes over: they go on there.
# ROUNDS (3) promotions, each of the last one's standby; SEED as in reliability_crash.

use strict;
use warnings;

use lib 'test/server';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round either end_round figure has_acknowledged nothing_lost prepare start_workers stop_workers wait_for_standby);
use Test::More;

my $rounds = $ENV{ROUNDS} || 3;
my $seed = $ENV{SEED} || 1 + time % 100_000;
srand $seed;
note("SEED=$seed ROUNDS=$rounds");

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
log_statement = none
tasker_checkpoint.archive_history = on
synchronous_standby_names = ''
});
$primary->start;
prepare($primary);

my ($acknowledged, $lost) = (0, 0);
foreach my $round (1 .. $rounds)
{
	# the old primary is gone for good, a new standby comes
	my $standby = PostgreSQL::Test::Cluster->new("standby_$round");
	$primary->backup("base_$round");
	$standby->init_from_backup($primary, "base_$round", has_streaming => 1);
	$standby->start;
	wait_for_standby($primary, $standby);

	my $how = ('kill -9', 'immediate', 'fast')[ rand 3 ];
	my $name = "promotion $round of seed $seed, $how";
	begin_round($primary, $round);
	my @workers = start_workers(either($primary, $standby), $round, 4, $seed);
	has_acknowledged($round, 50 + int(rand 200));
	if ($how eq 'kill -9') { $primary->kill9 }
	else { $primary->stop($how) }
	$standby->promote;
	has_acknowledged($round, 100 + keys %{ (acknowledged($round))[0] });
	stop_workers(@workers);

	my @counted = nothing_lost($standby, $round, $name);
	is(join("\n", amcheck_problems($standby)), '', "$name: heaps and indexes are sound");
	end_round($standby, $round);
	$acknowledged += $counted[0];
	$lost += $counted[1];
	$primary = $standby;
}
figure('promotion', sprintf('%d promotions of seed %d: %d acknowledged checkpoints, %d lost (PostgreSQL %s)',
	$rounds, $seed, $acknowledged, $lost, $primary->pg_version));

$primary->stop;
done_testing();
