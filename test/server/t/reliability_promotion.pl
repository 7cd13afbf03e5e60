# With a synchronous standby nothing that was acknowledged is lost when the primary is
# killed, or stopped, while workers write, and the standby takes over: they go on there.
# ROUNDS (3) promotions, each of the last one's standby; SEED as in reliability_crash.

use strict;
use warnings;

use lib 'test/server';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round end_round figure has_acknowledged missing prepare problems start_workers stop_workers stored);
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
	$primary->adjust_conf('postgresql.conf', 'synchronous_standby_names', "'standby_$round'");
	$primary->reload;
	$primary->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')") or die 'no standby';
	# commits wait from when the checkpointer has read the setting, which it does between two checkpoints
	$primary->safe_psql('postgres', 'CHECKPOINT');

	my $how = ('kill -9', 'immediate', 'fast')[ rand 3 ];
	my $name = "promotion $round of seed $seed, $how";
	begin_round($primary, $round);
	my ($hosts, $ports) = map { my $what = $_; join(',', map { $_->$what } $primary, $standby) } 'host', 'port';
	my @workers = start_workers("host=$hosts port=$ports target_session_attrs=read-write dbname=postgres", $round, 4, $seed);
	has_acknowledged($round, 50 + int(rand 200));
	if ($how eq 'kill -9') { $primary->kill9 }
	else { $primary->stop($how) }
	$standby->promote;
	has_acknowledged($round, 100 + keys %{ (acknowledged($round))[0] });
	stop_workers(@workers);

	my ($heard) = acknowledged($round);
	my %stored = stored($standby, $round);
	my @missing = missing($heard, \%stored);
	is(join("\n", @missing), '', "$name: nothing that was acknowledged is lost");
	is(join("\n", problems($standby, $round, 1)), '', "$name: nothing is half there, and every step goes on");
	is(join("\n", amcheck_problems($standby)), '', "$name: heaps and indexes are sound");
	end_round($standby, $round);
	$acknowledged += grep { /^checkpoint/ } keys %$heard;
	$lost += grep { /^checkpoint/ } @missing;
	$primary = $standby;
}
figure('promotion', sprintf('%d promotions of seed %d: %d acknowledged checkpoints, %d lost (PostgreSQL %s)',
	$rounds, $seed, $acknowledged, $lost, $primary->pg_version));

$primary->stop;
done_testing();
