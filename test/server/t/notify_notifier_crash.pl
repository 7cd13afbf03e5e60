# The notifier is terminated or killed, or its server goes down: what was not yet sent is
# lost, and nothing that comes after it. A standby has one from when it is promoted.

use strict;
use warnings;

use lib 'test/server';

use Notifier qw($workers heard leave listener say_in senders session worker yield_sql yields_sql);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(restarted);
use Test::More;

my $node = Notifier::start('notifier');
my $one = listener($node, 'one');
my $session = session($node, 'one');

# The worker is terminated.
my $pid = worker($one);
my $offset = -s $node->logfile;
is(kill('STOP', $pid), 1, 'a worker is stopped');
say_in($session, yields_sql(3));
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
kill('CONT', $pid);
ok($node->wait_for_log(qr/LOG:  up to 3 wake-ups of tasker_checkpoint were lost/, $offset),
	'one that is terminated says what is lost');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM $workers AND pid = $pid)"), 'it is gone');
say_in($session, yield_sql());
is(scalar(heard($one, 1)), 1, 'the next wake-up arrives');
isnt(worker($one), $pid, 'and another worker is started');
$pid = worker($one);
kill('STOP', $pid);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
say_in($session, yield_sql());
kill('CONT', $pid);
is(senders(heard($one, 1)), $pid, 'one that is cancelled goes on');

# A crash loses what was not yet sent, and nothing that comes after it.
worker($one);
$node->stop('immediate');
leave($one, $session);
$node->start;
$one = listener($node, 'one');
$pid = worker($one);
say_in($one->{beside}, yield_sql());
is(senders(heard($one, 1)), $pid, 'wake-ups arrive after an immediate shutdown');

$node->safe_psql('postgres', 'ALTER SYSTEM SET restart_after_crash = on');
$node->reload;
$pid = worker($one);
$offset = -s $node->logfile;
is(kill('KILL', $pid), 1, 'the worker is killed');
restarted($node, $offset);
leave($one);
$one = listener($node, 'one');
$pid = worker($one);
say_in($one->{beside}, yield_sql());
is(senders(heard($one, 1)), $pid, 'wake-ups arrive after a crash');

# A standby has no worker until it is promoted.
leave($one);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('notifier_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$node->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
$one = listener($standby, 'one');
$pid = worker($one);
say_in($one->{beside}, yield_sql());
is(senders(heard($one, 1)), $pid, 'a promoted standby has a worker');
leave($one);
$standby->stop;
done_testing();
