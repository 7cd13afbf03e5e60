# Where there is no room for a wake-up, in the ring of the notifier or in the queue of
# NOTIFY, the transaction commits all the same.

use strict;
use warnings;

use lib 'test/server';

use Notifier qw($workers heard leave listener say_in senders session worker yield_sql yields_sql);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Notifier::start('notifier');
my $one = listener($node, 'one');
my $session = session($node, 'one');
my $self = say_in($session, 'SELECT pg_backend_pid()') =~ /(\d+)/ ? $1 : '';

# More than the ring holds, and a ring that is full: commits do not wait for it.
sub counted
{
	my ($expected, $from, $what, @heard) = @_;
	my %payloads = map { $_->[1] => 1 } @heard;
	is(scalar(@heard) . ' ' . scalar(keys %payloads), "$expected $expected", "$what: all arrive");
	is(senders(@heard), $from, "$what: as they should");
	return;
}
my $pid;
foreach my $times (4096, 4097, 5000)
{
	say_in($session, 'BEGIN;' . yields_sql($times));
	$pid = worker($one);
	say_in($session, 'COMMIT');
	counted($times, $times > 4096 ? $self : $pid, "$times yields in a transaction", heard($one, $times));
}

$pid = worker($one);
is(kill('STOP', $pid), 1, 'the worker is stopped');
say_in($session, yields_sql(4000));
say_in($session, yields_sql(97));
counted(97, $self, 'what the full ring does not hold', heard($one, 97));
say_in($session, yields_sql(96));
is(scalar(heard($one, 0)), 0, 'what it does hold waits');
is(kill('CONT', $pid), 1, 'the worker goes on');
counted(4096, $pid, 'what the ring holds', heard($one, 4096));
leave($one, $session);

# A queue that is nearly full, held by a listener that ends no transaction (on a channel
# of its own, since what nobody hears takes no room in it from PostgreSQL 19 on):
# commits go on, both by themselves and by the worker, and none of them fails.
SKIP:
{
	skip 'the NOTIFY queue has a fixed size of 8 GB before PostgreSQL 17', 11 if $node->pg_version < 17;

	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$node->restart;
	($one, $session) = (listener($node, 'one'), session($node, 'one'));
	my $holder = listener($node, 'one');
	say_in($holder, 'LISTEN x; BEGIN; SELECT');
	$node->safe_psql('one', q{SELECT pg_notify('x', repeat('x', 7000) || n) FROM generate_series(1, 49) n});
	cmp_ok($node->safe_psql('one', 'SELECT pg_notification_queue_usage()'), '>=', 0.75, 'the queue is nearly full');
	heard($one, 0);
	like(say_in($session, yield_sql()),
		qr/WARNING:  1 wake-ups of tasker_checkpoint were not sent\nDETAIL:  The NOTIFY queue is 7\d% full, since a session that listens does not end its transaction\. Workers/,
		'a transaction that would notify commits, and warns');
	my $offset = -s $node->logfile;
	is(say_in($session, yields_sql(1) x 20), "1\n" x 20 . "said\nsaid\n", 'and no other does for a while');
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM $workers AND datname = 'one' AND wait_event_type = 'Extension')"),
		'a worker starts');
	$pid = $node->safe_psql('postgres', "SELECT pid FROM $workers AND datname = 'one'");
	is(say_in($session, yields_sql(1) x 100), "1\n" x 100 . "said\nsaid\n", 'with it commits go on');
	ok($node->wait_for_log(qr/WARNING:  \d+ wake-ups of tasker_checkpoint were not sent/, $offset), 'it warns');
	my @warnings = slurp_file($node->logfile, $offset) =~ /were not sent/g;
	cmp_ok(scalar(@warnings), '<=', 2, 'now and then');
	is($node->safe_psql('postgres', "SELECT pid FROM $workers AND datname = 'one'"), $pid, 'it goes on');
	is(scalar(heard($one, 0)), 0, 'nothing was sent');
	say_in($holder, 'COMMIT');
	leave($holder);
	$pid = worker($one);
	say_in($session, yields_sql(3));
	my @heard = heard($one, 3);
	is(scalar(@heard) . ' ' . senders(@heard), "3 $pid", 'once the listener has gone on wake-ups arrive again');
	is($node->safe_psql('one', 'SELECT pg_notification_queue_usage() < 0.75'), 't', 'there is room');
	leave($one, $session);
}

$node->stop;
done_testing();
