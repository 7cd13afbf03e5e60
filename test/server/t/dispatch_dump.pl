# A dump carries dispatched steps over, in every format, and a restore goes on
# with them: who holds an event may write under it, what is offered is claimed,
# what is paused is not, and a lost reply is still answered.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dispatch_dump');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;

my %step = map { $_ => sprintf('00000000-0000-0000-0000-%012d', $_) } 1 .. 6;

sub query
{
	my ($database, $sql) = @_;
	return $node->safe_psql($database, $sql);
}

$node->safe_psql('postgres', 'CREATE ROLE worker LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE old');
query('old', q{
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false, updated_at timestamp(6));
	CREATE EXTENSION tasker_checkpoint;
	INSERT INTO tasker.workflow_steps
	SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 6) i;
	GRANT USAGE ON SCHEMA tasker TO worker;
	GRANT SELECT, UPDATE ON tasker.workflow_steps TO worker;
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_claim, tasker_checkpoint_yield, tasker_checkpoint_save, tasker_checkpoint_heartbeat TO worker;
});

# 1 is claimed and has saved, 2 has yielded, 3 is paused, 4 only cancelled, 5 is
# parked, 6 is not dispatched
query('old', "SELECT tasker_checkpoint_dispatch('$step{$_}')") for 1, 2, 3, 5;
my %event = map { $_ => query('old', "SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, '$step{$_}')") } 1, 2;
my $save = "SELECT sequence, directive FROM tasker_checkpoint_save('$step{1}', '{\"at\": 10}', 10, '[1]', '$event{1}')";
my $yield = "SELECT sequence, event_id, directive FROM tasker_checkpoint_yield('$step{2}', 'null', 5, NULL, '$event{2}')";
is(query('old', $save), '1|continue', 'a save');
my $receipt = query('old', $yield);
like($receipt, qr/^1\|.*\|continue$/, 'a yield');
query('old', "SELECT tasker_checkpoint_pause('$step{3}'), tasker_checkpoint_cancel('$step{4}')");
query('old', "UPDATE tasker_checkpoint_events SET parked = true, deliveries = 20 WHERE step_uuid = '$step{5}'");

my $everything = 'SELECT * FROM tasker_checkpoint_events ORDER BY step_uuid';
my $before = query('old', $everything);
is(() = $before =~ /\n/g, 4, 'five rows');

my $dump = "$PostgreSQL::Test::Utils::tmp_check/dispatch_dump_file";
my $old = $node->connstr('old');

sub load
{
	my ($database, @suffixes) = @_;
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), map { ('-f', "$dump.$_") } @suffixes ],
		"psql @suffixes");
	return;
}

sub save_as
{
	my ($suffix, @options) = @_;
	$node->command_ok([ 'pg_dump', '--no-sync', @options, '-f', "$dump.$suffix", '-d', $old ], "pg_dump @options");
	return;
}

my %ways = (
	'plain' => sub {
		save_as('plain');
		load(shift, 'plain');
	},
	'inserts' => sub {
		save_as('inserts', '--inserts');
		load(shift, 'inserts');
	},
	'custom' => sub {
		save_as('custom', '--format=custom');
		$node->command_ok([ 'pg_restore', '--exit-on-error', '--jobs=2', '-d', $node->connstr(shift), "$dump.custom" ], 'pg_restore');
	},
	'schema, then data' => sub {
		save_as('schema', '--schema-only');
		save_as('data', '--data-only');
		load(shift, 'schema', 'data');
	});

my $n = 0;
foreach my $way (sort keys %ways)
{
	my $new = 'new_' . ++$n;
	$node->safe_psql('postgres', "CREATE DATABASE $new TEMPLATE template0");
	$ways{$way}->($new);

	is(query($new, $everything), $before, "$way: all events, claims and directives are there");
	is(query($new, 'SELECT tasker_checkpoint_table()'), 'tasker.workflow_steps', "$way: the table is attached");
	my $as_worker = 'SET ROLE worker;';
	is(query($new, "$as_worker $save"), '1|continue', "$way: a save whose reply was lost is answered");
	is(query($new, "$as_worker $yield"), $receipt, "$way: so is a yield");
	is(query($new, "$as_worker SELECT tasker_checkpoint_heartbeat('$event{1}'), sequence
		FROM tasker_checkpoint_save('$step{1}', '{\"at\": 20}', 20, NULL, '$event{1}')"), 't|2', "$way: the holder goes on");
	is(query($new, "$as_worker SELECT step_uuid, cursor, sequence FROM tasker_checkpoint_claim('two', max_steps => 9)"), "$step{2}|null|1",
		"$way: what is offered is claimed, and nothing else");
	is(query($new, "SELECT directive FROM tasker_checkpoint_save('$step{4}', '1', 1)"), 'cancel', "$way: what was cancelled is cancelled");
	is(query($new, "SELECT tasker_checkpoint_resume('$step{3}'), tasker_checkpoint_resume('$step{5}')"), 't|t', "$way: what was paused or parked is resumed");
	is(query($new, "SELECT step_uuid FROM tasker_checkpoint_claim('two', max_steps => 9) ORDER BY 1"), "$step{3}\n$step{5}", "$way: and claimed");
	is(query($new, "SELECT tasker_checkpoint_dispatch('$step{6}') IS NOT NULL"), 't', "$way: a step that was not dispatched can be");
}

# The table's rows alone, as one that holds no rights on it, are not to be had.
$node->command_fails_like([ 'pg_dump', '--no-sync', '-U', 'worker', '-d', $old, '-t', 'tasker_checkpoint_events' ],
	qr/permission denied for table tasker_checkpoint_events/, 'a worker cannot dump the events');

# Nor can who owns no more than the database; without them it can.
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN; ALTER DATABASE old OWNER TO owner');
query('old', 'GRANT USAGE ON SCHEMA tasker TO owner; GRANT SELECT ON tasker.workflow_steps TO owner');
my @as_owner = ('pg_dump', '--no-sync', '-U', 'owner', '-d', $old, '-f', "$dump.owner");
$node->command_fails_like(\@as_owner, qr/permission denied for table tasker_checkpoint_/, 'a mere owner of the database cannot dump it all');
$node->command_ok([ @as_owner, '--exclude-table-data=tasker_checkpoint_events', '--exclude-table-data=tasker_checkpoint_archive*' ],
	'but without dispatch table and archive');
$node->safe_psql('postgres', 'CREATE DATABASE of_owner TEMPLATE template0');
load('of_owner', 'owner');
is(query('of_owner', "SELECT tasker_checkpoint_dispatch('$step{2}') IS NOT NULL, cursor FROM tasker_checkpoint_load('$step{2}')"), 't|null',
	'and what it has dumped is dispatched again');

# Who restores as no superuser has the steps, but their guard only if he may create it.
foreach my $granted (0, 1)
{
	my $new = "by_owner_$granted";
	$node->safe_psql('postgres', "CREATE DATABASE $new OWNER owner TEMPLATE template0");
	query($new, 'CREATE EXTENSION tasker_checkpoint');
	query($new, 'GRANT EXECUTE ON FUNCTION tasker_checkpoint_guard() TO owner') if $granted;
	$node->command_fails_like([ 'pg_restore', '-U', 'owner', '--no-owner', '-d', $node->connstr($new), "$dump.custom" ],
		qr/permission denied for table tasker_checkpoint_events/, 'a mere owner cannot restore what is dispatched');
	my $unguarded = "SELECT statement FROM tasker_checkpoint_health WHERE finding = 'unguarded'";
	my $statement = query($new, $unguarded);
	is($statement ne '', !$granted, 'and that the steps are not guarded is told, where it is so');
	query($new, $statement) if !$granted;
	is(query($new, "SELECT count(*), tasker_checkpoint_table(), ($unguarded) IS NULL FROM tasker.workflow_steps"),
		'6|tasker.workflow_steps|t', 'in the end they are there and guarded');
}

$node->stop;
done_testing();
