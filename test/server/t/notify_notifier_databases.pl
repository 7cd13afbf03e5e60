# Each database in use has a notifier of its own, whoever may connect; it is in the way of
# no command for long, and one that cannot connect is not started all the time.

use strict;
use warnings;

use lib 'test/server';

use Notifier qw($workers add_database heard idle leave listener say_in senders session starts worker yield_sql yields_sql);
use PostgreSQL::Test::Utils;
use Reliability qw(wait_until);
use Test::More;

my $node = Notifier::start('notifier');
add_database($node, 'two');
my ($one, $two) = map { listener($node, $_) } 'one', 'two';
my $session = session($node, 'one');
my $self = say_in($session, 'SELECT pg_backend_pid()') =~ /(\d+)/ ? $1 : '';

# Neither time-outs nor who may connect keep it from a database.
$node->safe_psql('postgres', "ALTER DATABASE one SET $_ = '1ms'")
  foreach ('lock_timeout', $node->pg_version >= 17 ? 'transaction_timeout' : ());
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS false');
my $yields = 0;
wait_until('a worker', sub {
	say_in($session, yield_sql() x 2);
	$yields += 2;
	return $node->safe_psql('postgres', "SELECT count(*) FROM $workers AND datname = 'one' AND wait_event_type = 'Extension'");
});
pass('a worker starts for sessions in a database that takes no new ones');
$node->safe_psql('postgres', 'ALTER DATABASE one RESET ALL');
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS true');
heard($one, $yields);

# A worker that cannot connect is not started with each commit, and is when it
# can: 1, 3, 7, 15 s after the first.
idle($node);
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'one'});
my $offset = -s $node->logfile;
my $began = time;
my ($sent, $starts) = (0, 0);
wait_until('three starts', sub {
	say_in($session, yields_sql(1) x 50);
	$sent += 50;
	$starts = starts($node, $offset);
	return $starts >= 3;
});
like(slurp_file($node->logfile, $offset), qr/FATAL:  cannot connect to invalid database/, 'a worker cannot connect');
cmp_ok(time - $began, '>=', 2, 'the third start is 3 s after the first');
is($starts, 3, 'and there was none in between');
my @heard = heard($one, $sent);
is(scalar(@heard) . ' ' . senders(@heard), "$sent $self", "each of $sent commits notified by itself");
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'one'});
isnt(worker($one), '', 'it is started when it can connect');

# Each database has its worker.
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '1', 'a database in use has a worker');
wait_until('a worker each', sub {
	worker($_) foreach $two, $one;
	return $node->safe_psql('postgres', "SELECT string_agg(datname, ' ' ORDER BY datname) FROM $workers") eq 'one two';
});
pass('and another has another');

# Commands that a worker could be in the way of
$node->safe_psql('one', 'DROP EXTENSION tasker_checkpoint');
pass('DROP EXTENSION goes on while a worker runs');
$node->safe_psql('one', 'CREATE EXTENSION tasker_checkpoint');
worker($one);
$node->safe_psql('one', yield_sql());
is(scalar(heard($one, 1)), 1, 'and so does the extension when it is back');
worker($two);
leave($two);
is(($node->psql('postgres', 'DROP DATABASE two'))[0], 0, 'DROP DATABASE right after the load');
worker($one);
leave($one, $session);
is(($node->psql('postgres', 'ALTER DATABASE one RENAME TO three; ALTER DATABASE three RENAME TO one'))[0], 0,
	'ALTER DATABASE RENAME right after the load');

$node->stop;
done_testing();
