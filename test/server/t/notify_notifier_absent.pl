# Where no notifier can be had each transaction notifies by itself: none is allowed, or no
# more, there is no worker slot, or the library is not preloaded.

use strict;
use warnings;

use lib 'test/server';

use Notifier qw($workers add_database heard idle leave listener senders worker yield_sql);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Notifier::start('notifier');
add_database($node, 'two');

sub restarted_with
{
	$node->append_conf('postgresql.conf', $_[0]);
	$node->restart;
	return listener($node, 'one');
}

# Three yields, each in a session: how many are heard, from how many senders.
sub alone
{
	my ($database, $listener) = @_;

	$node->safe_psql($database, yield_sql()) foreach 1 .. 3;
	my @heard = heard($listener, 3);
	return scalar(@heard) . ' ' . scalar(split(/ /, senders(@heard)));
}

my $one = restarted_with('tasker_checkpoint.max_notifiers = 1');
my $two = listener($node, 'two');
worker($one);
is(alone('two', $two), '3 3', 'max_notifiers = 1: another database notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers AND datname = 'two'"), '0', 'without a worker');
idle($node);
isnt(worker($two), '', 'it can have one when the first has left');
leave($one, $two);

$one = restarted_with('tasker_checkpoint.max_notifiers = 0');
is(alone('one', $one), '3 3', 'max_notifiers = 0: every transaction notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '0', 'without a worker');
leave($one);

$one = restarted_with("tasker_checkpoint.max_notifiers = 2\nmax_worker_processes = 0");
is(alone('one', $one), '3 3', 'no background worker to be had: every transaction notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '0', 'there is none');
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=50', 0,
	[qr{processed: 400/400}], [qr/^$/], '8 sessions yield',
	{ notifier_alone => q{SELECT tasker_checkpoint_yield(md5(:client_id || 'step')::uuid, '0', 0);} }, 'one');
is(scalar(heard($one, 400)), 400, 'and none of their wake-ups is lost');
leave($one);

# Without preload the setting is known, and does nothing.
$one = restarted_with("tasker_checkpoint.max_notifiers = 3\nmax_worker_processes = 8\nshared_preload_libraries = ''");
is(($node->psql('one', yield_sql() . 'SHOW tasker_checkpoint.max_notifiers'))[1] =~ s/^\n//r, '3',
	'max_notifiers can be set without preload');
is(($node->psql('one', yield_sql()))[2], '', 'without a warning in each session');
is(scalar(heard($one, 2)), 2, 'and wake-ups arrive');
leave($one);

$node->stop;
done_testing();
