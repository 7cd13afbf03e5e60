# Failover slots: a subscriber follows a primary that is killed under load, and then its
# standby, from the slot that was synchronised there. Nothing that was acknowledged is lost
# on the new primary, and the subscriber has the same, without a hole and nothing twice.
# ROUNDS (3) promotions, each of the last one's standby; SEED as in reliability_crash.

use strict;
use warnings;

use lib 'test/server';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round contents either end_round figure has_acknowledged missing nothing_lost prepare start_workers stop_workers stored wait_for_standby wait_until);
use Test::More;

my $rounds = $ENV{ROUNDS} || 3;
my $seed = $ENV{SEED} || 1 + time % 100_000;

my ($primary, $subscriber) = map { PostgreSQL::Test::Cluster->new($_) } 'primary', 'subscriber';
plan skip_all => 'failover slots are of PostgreSQL 17' if $primary->pg_version < 17;
srand $seed;
note("SEED=$seed ROUNDS=$rounds");

foreach my $node ($primary, $subscriber)
{
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', q{
log_statement = none
tasker_checkpoint.archive_history = on
synchronous_standby_names = ''
synchronized_standby_slots = ''
});
	$node->start;
	prepare($node);
}
$primary->safe_psql('postgres', 'CREATE PUBLICATION all_of_it FOR TABLE steps, work, tasker_checkpoint_events, tasker_checkpoint_archive');
$subscriber->safe_psql('postgres', sprintf(
	q{CREATE SUBSCRIPTION all_of_it CONNECTION '%s dbname=postgres' PUBLICATION all_of_it WITH (failover = true)}, $primary->connstr));
$subscriber->wait_for_subscription_sync($primary, 'all_of_it');

# A standby to which slots are synchronised. Commits wait for it, and so does what is sent to the subscriber.
sub new_standby
{
	my ($name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('$name', true)");
	$primary->backup($name);
	$standby->init_from_backup($primary, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', sprintf(q{
primary_conninfo = '%s dbname=postgres'
primary_slot_name = '%s'
hot_standby_feedback = on
sync_replication_slots = on
}, $primary->connstr, $name));
	$standby->start;
	$primary->adjust_conf('postgresql.conf', 'synchronized_standby_slots', "'$name'");
	wait_for_standby($primary, $standby);
	return $standby;
}

# Whether the subscriber could go on from the standby.
sub ready
{
	my ($standby) = @_;
	$primary->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
	return $standby->safe_psql('postgres', q{
		SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = 'all_of_it'}) eq 't';
}

# Keeps from the standby what is done from now on, until a checkpoint waits for it to be
# there and the subscriber has got what it is to get. Returns the process that would send it.
sub hold_back
{
	my ($standby) = @_;
	my $sender = $primary->safe_psql('postgres', sprintf(q{SELECT pid FROM pg_stat_replication WHERE application_name = '%s'}, $standby->name));

	kill('STOP', $sender) or die 'the standby is gone';
	$primary->poll_query_until('postgres', q{
		SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'worker' AND wait_event = 'SyncRep' AND query = 'COMMIT;')
			AND (SELECT wait_event = 'WaitForStandbyConfirmation' OR replay_lsn >= pg_current_wal_flush_lsn()
				FROM pg_stat_replication r JOIN pg_stat_activity USING (pid) WHERE r.application_name = 'all_of_it')
	}) or die 'no checkpoint waits for the standby';
	return $sender;
}

my ($acknowledged, $lost) = (0, 0);
foreach my $round (1 .. $rounds)
{
	my $standby = new_standby("standby_$round");
	my $how = $round % 2 ? 'kill -9, the standby is behind' : ('kill -9', 'immediate', 'fast')[ rand 3 ];
	my $name = "promotion $round of seed $seed, $how";

	begin_round($primary, $round);
	my @workers = start_workers(either($primary, $standby), $round, 4, $seed);
	wait_until('the slot is synchronised', sub { ready($standby) });
	has_acknowledged($round, 50 + int(rand 200));
	my $sender = $how =~ /behind/ ? hold_back($standby) : undef;
	if ($how =~ /kill -9/) { $primary->kill9 }
	else { $primary->stop($how) }
	kill('KILL', $sender) if $sender;
	$standby->promote;

	my %ahead = stored($subscriber, $round);
	is(join("\n", missing(\%ahead, { stored($standby, $round) })), '', "$name: the subscriber has nothing that the new primary has not") or die 'it is ahead';
	$subscriber->safe_psql('postgres', sprintf(q{ALTER SUBSCRIPTION all_of_it CONNECTION '%s dbname=postgres'}, $standby->connstr));
	has_acknowledged($round, 100 + keys %{ (acknowledged($round))[0] });
	stop_workers(@workers);

	my @counted = nothing_lost($standby, $round, $name);
	$standby->wait_for_catchup('all_of_it');
	is(contents($subscriber), contents($standby), "$name: steps, rows, events and archive are the same");
	is(join("\n", map { amcheck_problems($_) } $standby, $subscriber), '', "$name: heaps and indexes are sound");
	end_round($standby, $round);
	$acknowledged += $counted[0];
	$lost += $counted[1];
	$primary = $standby;
}
figure('slots', sprintf('%d promotions of seed %d: %d acknowledged checkpoints, %d lost; the subscriber has the same (PostgreSQL %s)',
	$rounds, $seed, $acknowledged, $lost, $primary->pg_version));

$_->stop foreach $primary, $subscriber;
done_testing();
