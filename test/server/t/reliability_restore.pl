# A base backup that is taken while workers write, and a recovery to a point between two
# checkpoints, while workers write: what was acknowledged before the point is there, what
# was begun after it is not, and the steps go on from there.

use strict;
use warnings;

use lib 'test/server';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round figure has_acknowledged missing prepare problems start_workers stop_workers stored);
use Test::More;

my $seed = $ENV{SEED} || 1 + time % 100_000;
my $step = '00000000-0000-0000-0000-000000000001';
note("SEED=$seed");

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(has_archiving => 1, allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
log_statement = none
tasker_checkpoint.archive_history = on
});
$primary->start;
prepare($primary);

# One that nobody dispatches, so that what it has at the point is known.
$primary->safe_psql('postgres', "INSERT INTO steps (id, round) VALUES ('$step', 0)");
sub save_sql
{
	my ($n) = @_;
	my $sum = $n * ($n + 1) / 2;
	return qq{
		BEGIN;
		INSERT INTO work VALUES ('$step', $n, $n);
		SELECT sequence FROM tasker_checkpoint_save('$step', '$n', $n, '{"sum": $sum}');
		COMMIT};
}

begin_round($primary, 1);
my @workers = start_workers($primary->connstr('postgres'), 1, 4, $seed);
has_acknowledged(1, 100);
$primary->backup('base');
has_acknowledged(1, 100 + keys %{ (acknowledged(1))[0] });

is($primary->safe_psql('postgres', save_sql(1)), 1, 'a checkpoint before the point');
my ($before) = acknowledged(1);
$primary->safe_psql('postgres', "SELECT pg_create_restore_point('between')");
my (undef, $begun) = acknowledged(1);
is($primary->safe_psql('postgres', save_sql(2)), 2, 'and one after it');
has_acknowledged(1, 100 + keys %{ (acknowledged(1))[0] });
stop_workers(@workers);
my ($all, $tried) = acknowledged(1);
my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'not archived';
$primary->stop;

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($primary, 'base', has_restoring => 1);
$restored->append_conf('postgresql.conf', q{
recovery_target_name = 'between'
recovery_target_action = 'promote'
archive_mode = off
});
$restored->start;
$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not restored';

my %stored = stored($restored, 1);
my @lost = missing($before, \%stored);
is(join("\n", @lost), '', 'what was acknowledged before the point is there');
my @early = grep { my $sent = s/^checkpoint (\S+ \S+) .*/$1/r; $tried->{$sent} && !$begun->{$sent} } sort keys %stored;
is(join("\n", @early), '', 'nothing is there that was begun after it');
cmp_ok(scalar(missing($all, \%stored)), '>=', 50, 'though there was a lot');
is($restored->safe_psql('postgres', "SELECT cursor, sequence FROM tasker_checkpoint_load('$step')"), '1|1', 'the point is between the two');
is(join("\n", problems($restored, 1, 1)), '', 'nothing is half there, and every step goes on');
is(join("\n", amcheck_problems($restored)), '', 'heaps and indexes are sound');

# Work goes on, with the steps of then.
is($restored->safe_psql('postgres', save_sql(2)), 2, 'the next checkpoint has the next number');
begin_round($restored, 2);
@workers = start_workers($restored->connstr('postgres'), 2, 4, $seed);
has_acknowledged(2, 200);
stop_workers(@workers);
my ($after) = acknowledged(2);
%stored = (stored($restored, 1), stored($restored, 2));
is(join("\n", missing($after, \%stored)), '', 'what is acknowledged then is there');
is(join("\n", map { problems($restored, $_, 1) } 1, 2), '', 'and is whole');
figure('restore', sprintf('seed %d: %d transactions acknowledged before the point, %d lost; %d after it, %d there (PostgreSQL %s)',
	$seed, scalar(keys %$before), scalar(@lost), keys(%$all) - keys(%$before), scalar(@early), $restored->pg_version));

$restored->stop;
done_testing();
