# A failover to a standby that was behind: rows and checkpoint of a transaction
# are there or lost together, a claim that was lost is refused, one that was
# superseded by what is lost is good again, all else goes on.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('old_primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', 'log_statement = none');
$primary->start;

my %step = map { $_ => sprintf('00000000-0000-0000-0000-%012d', $_) } 1 .. 6;
$primary->safe_psql('postgres', q{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps
	SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 6) i;
	CREATE TABLE work (step_uuid uuid, item int);
	CREATE EXTENSION tasker_checkpoint;
});

sub claim
{
	my ($node, $n, $lease) = @_;
	return $node->safe_psql('postgres',
		"SELECT event_id FROM tasker_checkpoint_claim('worker', '$lease', 1, '$step{$n}')");
}

# A part of the work, with its checkpoint; the receipt's sequence.
sub work
{
	my ($node, $n, $item, $event) = @_;
	return $node->safe_psql('postgres', qq{
		BEGIN;
		INSERT INTO work VALUES ('$step{$n}', $item);
		SELECT sequence FROM tasker_checkpoint_save('$step{$n}', '$item', $item, NULL, '$event');
		COMMIT;
	});
}

sub heartbeat
{
	my ($node, $event) = @_;
	return $node->safe_psql('postgres', "SELECT tasker_checkpoint_heartbeat('$event')");
}

# 1 and 2 are claimed, 2 only for a moment, 3 is offered, 4 is paused, 5 will be
# dispatched and 6 changes hands when the standby does not hear of it any more.
$primary->safe_psql('postgres', "SELECT tasker_checkpoint_dispatch('$step{$_}')") for 1, 2, 3, 4, 6;
my %event = (1 => claim($primary, 1, '1 hour'), 2 => claim($primary, 2, '1 ms'), 6 => claim($primary, 6, '1 ms'));
is(work($primary, 1, 1, $event{1}), '1', 'a part is done');
$primary->safe_psql('postgres', "SELECT tasker_checkpoint_pause('$step{4}')");

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('new_primary');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
is(work($primary, 1, 2, $event{1}), '2', 'and another, which the standby gets');
$primary->wait_for_catchup($standby);

foreach ([ 'LISTEN tasker_checkpoint', 'LISTEN' ],
	[ "SELECT tasker_checkpoint_claim('worker')", 'tasker_checkpoint_claim()' ],
	[ "SELECT tasker_checkpoint_heartbeat('$event{1}')", 'tasker_checkpoint_heartbeat()' ])
{
	my ($sql, $what) = @$_;
	my ($ret, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, qr/ERROR:  25006: cannot execute \Q$what\E/, "no $what on a standby");
}
$standby->stop;

is(work($primary, 1, 3, $event{1}), '3', 'a part is done that will be lost');
my $lost = claim($primary, 3, '1 hour');
my $newer = claim($primary, 6, '1 hour');
is(heartbeat($primary, $event{6}), 'f', 'a claim is superseded');
$primary->safe_psql('postgres', "SELECT tasker_checkpoint_dispatch('$step{5}')");
$primary->stop('immediate');

$standby->start;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
my $agree = qq{
	SELECT items_processed, sequence, (SELECT string_agg(item::text, ' ' ORDER BY item) FROM work)
	FROM tasker_checkpoint_load('$step{1}')};
is($standby->safe_psql('postgres', $agree), '2|2|1 2', 'the rows are those that the checkpoint says');
is(heartbeat($standby, $event{1}), 't', 'a claim outlives the failover');
is(work($standby, 1, 3, $event{1}), '3', 'and its worker sees by the sequence what was lost');
is($standby->safe_psql('postgres', $agree), '3|3|1 2 3', 'when it goes on from what is there');

is(heartbeat($standby, $lost), 'f', 'a claim that was lost is none');
my ($ret, $out, $err) = $standby->psql('postgres', qq{
	\\set VERBOSITY verbose
	SELECT tasker_checkpoint_save('$step{3}', '1', 1, NULL, '$lost')});
like($err, qr/ERROR:  TC002/, 'and what is written under it is refused');
is(heartbeat($standby, $newer), 'f', 'so is one that superseded another');
is(heartbeat($standby, $event{6}), 't', 'which is good again');
is($standby->safe_psql('postgres',
		q{SELECT string_agg(right(step_uuid::text, 1), ' ' ORDER BY step_uuid) FROM tasker_checkpoint_claim('next', max_steps => 10)}),
	'2 3 6', 'what is offered, and what was claimed for a moment, is claimed, and nothing else');
is($standby->safe_psql('postgres', "SELECT tasker_checkpoint_dispatch('$step{5}') IS NOT NULL"), 't',
	'a dispatch that was lost is made again');
my $heard = qq({"step_uuid":"$step{4}","sequence":0,"queue":"default"});
like($standby->safe_psql('postgres', "LISTEN tasker_checkpoint; SELECT tasker_checkpoint_resume('$step{4}')"),
	qr/payload "\Q$heard\E"/, 'wake-ups are sent from now on');

$standby->stop;
done_testing();
