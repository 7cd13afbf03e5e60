# Steps, rows, events and archive are replicated logically to another server, workers
# move there, and later back: nothing that was acknowledged is lost, and every step goes
# on where it was.

use strict;
use warnings;

use lib 'test/server';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round contents figure has_acknowledged missing prepare problems start_workers stop_workers stored);
use Test::More;

my $rounds = $ENV{ROUNDS} || 3;
my $seed = $ENV{SEED} || 1 + time % 100_000;
note("SEED=$seed ROUNDS=$rounds");

my @nodes = map { PostgreSQL::Test::Cluster->new($_) } 'one', 'other';
foreach my $node (@nodes)
{
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', q{
log_statement = none
tasker_checkpoint.archive_history = on
});
	$node->start;
	prepare($node);
	$node->safe_psql('postgres', 'CREATE PUBLICATION all_of_it FOR TABLE steps, work, tasker_checkpoint_events, tasker_checkpoint_archive');
}

my ($from, $to) = @nodes;
my %all;
my $lost = 0;
foreach my $round (1 .. $rounds)
{
	my $name = "switch $round of seed $seed";

	# what is there is copied the first time, and is on both sides later
	begin_round($from, 1) if $round == 1;
	$to->safe_psql('postgres', sprintf(q{
		CREATE SUBSCRIPTION %s CONNECTION '%s dbname=postgres' PUBLICATION all_of_it WITH (copy_data = %s)},
		"switch_$round", $from->connstr, $round == 1 ? 'true' : 'false'));
	$to->wait_for_subscription_sync($from, "switch_$round") if $round == 1;
	begin_round($from, $round) if $round > 1;
	my @workers = start_workers($from->connstr('postgres'), $round, 4, $seed);
	has_acknowledged($round, 200);
	stop_workers(@workers);
	%all = (%all, %{ (acknowledged($round))[0] });

	# nobody writes any more, and all is there: workers may go
	$from->wait_for_catchup("switch_$round");
	is(contents($to), contents($from), "$name: steps, rows, events and archive are the same");
	$to->safe_psql('postgres', "DROP SUBSCRIPTION switch_$round");
	my %stored = map { stored($to, $_) } 1 .. $round;
	my @missing = missing(\%all, \%stored);
	is(join("\n", @missing), '', "$name: nothing that was acknowledged is lost");
	is(join("\n", map { problems($to, $_, 1) } 1 .. $round), '', "$name: nothing is half there, and every step can be claimed");
	is(join("\n", amcheck_problems($to)), '', "$name: heaps and indexes are sound");
	$lost += @missing;
	($from, $to) = ($to, $from);
}

# The last one to work is where the last switch led.
my @workers = start_workers($from->connstr('postgres'), $rounds + 1, 4, $seed);
has_acknowledged($rounds + 1, 100);
stop_workers(@workers);
my ($after) = acknowledged($rounds + 1);
my %stored = map { stored($from, $_) } 1 .. $rounds + 1;
is(join("\n", missing($after, \%stored)), '', 'work goes on');
is(join("\n", map { problems($from, $_, 1) } 1 .. $rounds + 1), '', 'and is whole');
figure('switchover', sprintf('%d switches of seed %d: %d transactions acknowledged, %d lost (PostgreSQL %s)',
	$rounds, $seed, scalar(keys %all), $lost, $from->pg_version));

$_->stop foreach @nodes;
done_testing();
