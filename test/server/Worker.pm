# A worker of steps that writes rows and checkpoints in one transaction, and notes what
# was acknowledged, that is after COMMIT has returned. It outlives whatever happens to
# its server. A process of its own, by perl -MWorker -e 'Worker::run(@ARGV)'.
#
# Its log has a line for each transaction that it tries, and one when that was
# acknowledged:
#
#	try save STEP UPTO, save STEP UPTO SEQUENCE; the same of yield
#	try dispatch STEP, dispatch STEP; the same of complete

package Worker;

use strict;
use warnings;

use IO::Handle;
use IPC::Open3;

my ($connstr, $name, $round, $log, $one_message);
my ($to, $from);
my $told_to = 0;
my $parent = getppid();

# It is told to stop, or left behind by a test that ended early.
sub stop { return $told_to || getppid() != $parent; }

# A session ends at the first error, and with its server.
sub connect_again
{
	open my $errors, '>>', "$log.err" or die "$log.err: $!";
	my $pid = open3($to, $from, '>&' . fileno($errors),
		'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', "$connstr application_name=$name");
	close $errors;
	return $pid;
}

# What the server answers, when it has answered.
sub ask
{
	my ($sql) = @_;
	my @answer;

	print {$to} "$sql\n\\echo answered\n" or die "gone\n";
	$to->flush or die "gone\n";
	while (defined(my $line = <$from>))
	{
		chomp $line;
		return @answer if $line eq 'answered';
		push @answer, $line;
	}
	die "gone\n";
}

sub note_down
{
	print {*ACKS} "@_\n";
	return;
}

# A transaction, noted before and after. Where no BEGIN is allowed it is what is sent at once.
sub transact
{
	my ($what, @statements) = @_;

	note_down('try', $what);
	my @answer = ask($one_message ? join(' \; ', @statements) . ';' : join('; ', 'BEGIN', @statements, 'COMMIT;'));
	note_down($what, @answer);
	return;
}

# Until it is told to stop, or loses its session.
sub work
{
	my ($claim) = @_;

	ask("SELECT FROM tasker_checkpoint_release('$claim->{event}');") if $claim->{event};
	undef %$claim;
	until (stop())
	{
		if (rand() < 0.02)
		{
			my $step = join('-', map { join('', map { sprintf('%x', rand 16) } 1 .. $_) } 8, 4, 4, 4, 12);
			transact("dispatch $step",
				"INSERT INTO steps (id, round) VALUES ('$step', $round)",
				"DO \$\$ BEGIN PERFORM tasker_checkpoint_dispatch('$step'); END \$\$");
		}
		my ($row) = ask("SELECT event_id, step_uuid, items_processed FROM tasker_checkpoint_claim('$name', '5 seconds');");
		next if !defined $row;
		@$claim{ 'event', 'step', 'items' } = split(/\|/, $row);
		my $kind = '';
		until (stop() or $kind eq 'yield')
		{
			if (rand() < 0.01)
			{
				transact("complete $claim->{step}",
					"UPDATE steps SET processed = true WHERE id = '$claim->{step}'",
					"DO \$\$ BEGIN ASSERT tasker_checkpoint_complete('$claim->{event}'); END \$\$");
				last;
			}
			my $upto = $claim->{items} + 1 + int(rand 4);
			my $sum = $upto * ($upto + 1) / 2;
			$kind = rand() < 0.3 ? 'yield' : 'save';
			transact("$kind $claim->{step} $upto",
				"INSERT INTO work SELECT '$claim->{step}', i, $upto FROM generate_series($claim->{items} + 1, $upto) i",
				"SELECT sequence FROM tasker_checkpoint_$kind('$claim->{step}', '$upto', $upto, '{\"sum\": $sum}', '$claim->{event}')");
			$claim->{items} = $upto;
		}
		# a claim that is held at the end stays one
		undef %$claim if !stop();
	}
	return;
}

sub run
{
	my $seed;
	($connstr, $name, $round, $log, $seed, $one_message) = @_;
	my %claim;

	srand $seed;
	$SIG{TERM} = sub { $told_to = 1 };
	$SIG{PIPE} = 'IGNORE';
	open ACKS, '>>', $log or die "$log: $!";
	ACKS->autoflush;
	until (stop())
	{
		my $pid = connect_again();
		eval { work(\%claim); 1 } or $@ eq "gone\n" or die $@;
		close $to;
		close $from;
		waitpid $pid, 0;
		# one after the other, while there is no server
		select(undef, undef, undef, 0.05);
	}
	return;
}

1;
