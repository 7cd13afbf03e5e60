# Workers write rows and checkpoints while their server, or a part of it, is killed, is
# stopped, or has no room: nothing that was acknowledged is lost, and nothing is half
# there. ROUNDS (20) and SEED: the seed decides what is done and after how many
# checkpoints, not how far a worker has got when it is hit.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round end_round figure has_acknowledged missing prepare problems restarted start_workers stop_workers stored wait_until);
use Test::More;

my $rounds = $ENV{ROUNDS} || 20;
my $seed = $ENV{SEED} || 1 + time % 100_000;
my $workers = 4;
srand $seed;

my $node = PostgreSQL::Test::Cluster->new('crash');
# small segments, so that a limit on the size of files can leave room for them
$node->init(extra => [ '--wal-segsize=1' ], allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
max_connections = 16
superuser_reserved_connections = 3
log_statement = none
tasker_checkpoint.max_deliveries = 0
shared_preload_libraries = ''
max_worker_processes = 8
tasker_checkpoint.archive_history = off
synchronous_standby_names = ''
commit_delay = 0
commit_siblings = 0
});
$node->start;
prepare($node);

# No file of the server's can get over a megabyte in some rounds. These tables have that
# from the beginning, so that the next page that they need is refused.
$node->safe_psql('postgres', q{
	INSERT INTO work SELECT gen_random_uuid(), i, 0 FROM generate_series(1, 25000) i;
	ALTER TABLE steps ADD filler text;
	ALTER TABLE steps ALTER filler SET STORAGE PLAIN;
	INSERT INTO steps (id, round, processed, filler) SELECT gen_random_uuid(), -1, true, repeat('x', 1000) FROM generate_series(1, 1500);
	INSERT INTO tasker_checkpoint_archive (step_uuid, generation, first_sequence, last_sequence, archived_at, entries)
	SELECT gen_random_uuid(), 1, 1, 1, now(), jsonb_build_array(jsonb_build_object('cursor', repeat('x', 1000))) FROM generate_series(1, 12000);
});
my $least = $node->safe_psql('postgres', q{
	SELECT min(pg_relation_size(t)) FROM unnest('{steps,work,tasker_checkpoint_archive}'::regclass[]) t});
cmp_ok($least, '>=', 1024 * 1024, 'the tables are large enough to be without room');

# Settings of this moment, by a reload or by a restart.
sub set
{
	my ($how, %settings) = @_;

	$node->adjust_conf('postgresql.conf', $_, $settings{$_}) foreach keys %settings;
	$node->$how;
	# a reload has come when a new session sees it
	foreach my $name (keys %settings)
	{
		my $value = $settings{$name} =~ s/'//gr;
		$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'") or die "no $name";
	}
	return;
}

# The process of the query's first row, as soon as there is one.
sub victim
{
	my ($condition, $number) = @_;
	my $query = "FROM pg_stat_activity WHERE $condition";
	my $pid = '';

	wait_until($condition, sub {
		my @pids = split(/\n/, $node->safe_psql('postgres', "SELECT pid $query ORDER BY application_name, pid"));
		$pid = $pids[ ($number // 0) % @pids ] if @pids;
		return $pid;
	});
	return $pid;
}

# Kills a process of the server, which then starts anew by itself.
sub kill_one
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;

	# one that has just left is as good as killed
	return if !kill('KILL', $pid);
	restarted($node, $offset);
	return;
}

# The server's processes that are there now.
sub processes
{
	my ($postmaster) = @_;
	my @pids = ($postmaster);

	foreach my $file (glob('/proc/[0-9]*/stat'))
	{
		open my $stat, '<', $file or next;
		push @pids, $1 if (<$stat> // '') =~ /^(\d+) \(.*\) \S $postmaster /;
	}
	return @pids;
}

# Kills the postmaster, and starts another when nobody is left of the first.
sub kill_postmaster
{
	my @pids = processes($node->{_pid});

	$node->kill9;
	wait_until('all processes end', sub { return !grep { kill(0, $_) } @pids });
	wait_until('the server starts', sub {
		# a start that fails takes the lock file for that of a server
		undef $node->{_pid};
		return $node->start(fail_ok => 1);
	});
	return;
}

# No file can get larger than that, until it is called with "unlimited".
sub limit_files
{
	my ($bytes, $postmaster) = @_;

	# twice, for those that were started meanwhile
	foreach my $pid (processes($postmaster), processes($postmaster))
	{
		# one of them may have ended
		IPC::Run::run([ 'prlimit', "--pid=$pid", "--fsize=$bytes:" ], '2>', \my $err);
	}
	return;
}

# Sessions that do nothing but be there.
sub occupy
{
	my ($n) = @_;
	my @sessions;

	foreach (1 .. $n)
	{
		my $in = '';
		push @sessions, IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres') . ' user=worker' ],
			'<', \$in, '>', \my $out, '2>', \my $err);
	}
	return @sessions;
}

my $at_work = "usename = 'worker' AND state <> 'idle'";
my $full = qr/FATAL: .*(connection slots are reserved|too many clients)/;
my %faults = (
	'a backend killed' => sub { kill_one(victim("usename = 'worker'", int(rand $workers))) },
	'a backend killed before its COMMIT is flushed' => sub {
		# without fsync there is no delay
		set('reload', fsync => "'on'", commit_delay => 100_000);
		kill_one(victim("$at_work AND query LIKE 'COMMIT%'"));
		set('reload', fsync => "'off'", commit_delay => 0);
	},
	'a backend killed before its COMMIT returns' => sub {
		set('reload', synchronous_standby_names => "'nobody'");
		kill_one(victim("wait_event = 'SyncRep'"));
		set('reload', synchronous_standby_names => "''");
	},
	'the postmaster killed' => \&kill_postmaster,
	'the checkpointer killed' => sub { kill_one(victim("backend_type = 'checkpointer'")) },
	'the walwriter killed' => sub { kill_one(victim("backend_type = 'walwriter'")) },
	'the notifier killed' => sub { kill_one(victim("backend_type = 'tasker_checkpoint notifier'")) },
	'stopped at once' => sub { $node->stop('immediate'); $node->start },
	'stopped fast' => sub { $node->stop('fast'); $node->start },
	'no connections' => sub {
		my $offset = -s $node->logfile;
		my @sessions = occupy(16);
		$node->wait_for_log($full, $offset);
		$offset = -s $node->logfile;
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'worker%'");
		push @sessions, occupy(8);
		$node->wait_for_log($full, $offset);
		$_->kill_kill foreach @sessions;
	},
	'no room for tables' => sub {
		my ($offset, $postmaster) = (-s $node->logfile, $node->{_pid});
		limit_files(1024 * 1024, $postmaster);
		$node->wait_for_log(qr/ERROR: .*could not (extend|write)/, $offset);
		limit_files('unlimited', $postmaster);
		my %files = map { $_ => 1 } slurp_file($node->logfile, $offset) =~ m{could not extend file "base/\d+/(\d+)"}g;
		note('no room in ' . $node->safe_psql('postgres', "SELECT pg_filenode_relation(0, $_)")) foreach sort keys %files;
	},
	'no room for WAL' => sub {
		my ($offset, $postmaster) = (-s $node->logfile, $node->{_pid});
		limit_files(64 * 1024, $postmaster);
		$node->wait_for_log(qr/PANIC/, $offset);
		limit_files('unlimited', $postmaster);
		# it may be on its way up or down
		kill_postmaster();
	});

my %happened;
my ($lost, $heard, $unheard) = (0, 0, 0);
my @kinds;

# What was acknowledged and is not stored, or stored and was never sent.
sub compare
{
	my ($round) = @_;
	my ($acknowledged, $tried) = acknowledged($round);
	my %stored = stored($node, $round);
	my @begun = map { "dispatch $_" } split(/\n/,
		$node->safe_psql('postgres', "SELECT md5('$round ' || i)::uuid FROM generate_series(1, 8) i"));

	my @lost = missing($acknowledged, \%stored);
	my %known = (%$tried, map { $_ => 1 } @begun);
	# what is not completed is so by the end of the round
	my @invented = grep { !/^complete/ && !$known{ s/^checkpoint (\S+ \S+) .*/$1/r } } sort keys %stored;
	return (\@lost, \@invented, scalar(grep { /^checkpoint/ } keys %$acknowledged),
		scalar(grep { /^checkpoint/ && !$acknowledged->{$_} } keys %stored));
}

# What is asked of a round whose workers have stopped.
sub check
{
	my ($round, $archived, $name) = @_;
	my ($lost, $invented, @counts) = compare($round);

	is(join("\n", @$lost), '', "$name: nothing that was acknowledged is lost");
	is(join("\n", @$invented), '', "$name: nothing is there that nobody sent");
	is(join("\n", problems($node, $round, $archived)), '', "$name: nothing is half there, and every step goes on");
	return (scalar(@$lost), @counts);
}

note("SEED=$seed ROUNDS=$rounds");
my $before = '';
my @archived;
foreach my $round (1 .. $rounds)
{
	my %settings = (
		shared_preload_libraries => rand() < 0.5 ? "'tasker_checkpoint'" : "''",
		max_worker_processes => rand() < 0.25 ? 1 : 8);
	$archived[$round] = int(rand 2);
	@kinds = shuffle(sort keys %faults) if !@kinds;
	my $kind = shift @kinds;
	my $after = 20 + int(rand 100);
	%settings = (shared_preload_libraries => "'tasker_checkpoint'", max_worker_processes => 8) if $kind =~ /notifier/;
	if ($kind =~ /no room/)
	{
		# nor could the server's log grow, were it not a new one
		$node->rotate_logfile;
		$before = '';
	}
	my $now = join(' ', map { $settings{$_} } sort keys %settings);
	set($now eq $before ? 'reload' : 'restart', %settings, 'tasker_checkpoint.archive_history' => $archived[$round] ? "'on'" : "'off'");
	$before = $now;

	my $name = "round $round of seed $seed, $kind" . ($archived[$round] ? ', archived' : '')
	  . ($settings{shared_preload_libraries} ne "''" ? ', preloaded' : '') . ($settings{max_worker_processes} == 1 ? ', no worker slots' : '');
	note($name);
	begin_round($node, $round);
	my @workers = start_workers($node->connstr('postgres'), $round, $workers, $seed);
	has_acknowledged($round, $after);
	$faults{$kind}->();
	$happened{$kind}++;
	has_acknowledged($round, 20 + keys %{ (acknowledged($round))[0] });
	stop_workers(@workers);

	my @counts = check($round, $archived[$round], $name);
	is(join("\n", amcheck_problems($node)), '', "$name: heaps and indexes are sound");
	end_round($node, $round);
	$lost += $counts[0];
	$heard += $counts[1];
	$unheard += $counts[2];
}

# All rounds once more, after all that came later.
check($_, $archived[$_], "in the end, round $_ of seed $seed") foreach 1 .. $rounds;
note("$happened{$_} times $_") foreach sort keys %happened;
figure('crash', sprintf('%d rounds of seed %d: %d acknowledged checkpoints, %d lost; %d stored whose reply was lost (PostgreSQL %s)',
	$rounds, $seed, $heard, $lost, $unheard, $node->pg_version));

$node->stop;
done_testing();
