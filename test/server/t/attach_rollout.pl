# The extension is rolled out on a busy database: attached under load, first with
# enforce = warning, then in earnest.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('rollout');
$node->init;
$node->append_conf('postgresql.conf', q{
log_statement = none
statement_timeout = 60s
tasker_checkpoint.enforce = warning
tasker_checkpoint.require_monotonic_items = all
});
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
my $other = '00000000-0000-0000-0000-000000000002';
$node->safe_psql('postgres', qq{
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false,
		updated_at timestamp(6), checkpoint jsonb);
	INSERT INTO tasker.workflow_steps VALUES ('$step'), ('$other');
});

# Tasker's own UPDATE, after a look at the step, in one transaction
my $script = "$PostgreSQL::Test::Utils::tmp_check/rollout_tasker.sql";
append_to_file($script, q{\set n :n + 1
BEGIN;
SELECT checkpoint FROM tasker.workflow_steps WHERE workflow_step_uuid = :step::uuid;
UPDATE tasker.workflow_steps
	SET checkpoint = jsonb_set(
			jsonb_build_object('cursor', :n::int, 'items_processed', 1,
				'timestamp', now(), 'accumulated_results', NULL, 'history', '[]'::jsonb),
			'{history}',
			COALESCE((SELECT checkpoint -> 'history' FROM tasker.workflow_steps
				WHERE workflow_step_uuid = :step::uuid), '[]'::jsonb) ||
			jsonb_build_array(jsonb_build_object('cursor', :n::int, 'timestamp', now()))),
		updated_at = now()
	WHERE workflow_step_uuid = :step::uuid;
COMMIT;
});

sub history_length
{
	return "SELECT jsonb_array_length(checkpoint -> 'history') FROM tasker.workflow_steps WHERE workflow_step_uuid = '$step'";
}

# Attached while four clients write.
my $clients = 4;
my $each = 1000;
my ($out, $err) = ('', '');
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-t', $each,
		'-D', 'n=0', '-D', "step=$step", '-f', $script, $node->connstr('postgres') ],
	'<', \undef, '>', \$out, '2>', \$err, $timeout);
ok($node->poll_query_until('postgres', history_length() =~ s/SELECT (.*?) FROM/SELECT $1 > 20 FROM/r),
	'Tasker writes checkpoints');
my ($ret, $stdout, $stderr) = $node->psql('postgres', 'CREATE EXTENSION tasker_checkpoint');
is($ret, 0, 'the extension is created meanwhile');
like($stderr, qr/NOTICE:  steps table tasker\.workflow_steps attached/, 'and attached');
$load->finish;
like($out, qr{processed: 4000/4000}, 'no transaction of the load failed');
is($err, '', 'and none complained');
ok($node->safe_psql('postgres', qq{
		SELECT jsonb_array_length(c -> 'history') = 10 AND (c ->> 'history_truncated')::int BETWEEN 1 AND 3990
		FROM tasker_checkpoint_get('$step') c}) eq 't', 'its history is bounded from then on');

# First it only warns.
my $large = "to_jsonb(repeat('x', 66000))";
my $huge = "to_jsonb(repeat('x', 1100000))";

sub write_checkpoint
{
	my ($sql) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	my ($level, $state) = $stderr =~ /(WARNING|ERROR):  (\w{5}):/;
	return $level ? "$level $state" : 'accepted';
}

sub yield_sql { return "SELECT tasker_checkpoint_yield('$other', $_[0], $_[1], $_[2])"; }

sub update_sql
{
	return "UPDATE tasker.workflow_steps SET checkpoint = jsonb_build_object('cursor', $_[0], "
	  . "'items_processed', $_[1], 'accumulated_results', $_[2]) WHERE workflow_step_uuid = '$other'";
}

sub stored
{
	return $node->safe_psql('postgres', qq{
		SELECT items_processed, sequence, octet_length(cursor::text), octet_length(accumulated_results::text)
		FROM tasker_checkpoint_load('$other')});
}

is(write_checkpoint(yield_sql("'10'", 10, 'NULL')), 'accepted', 'a checkpoint within the limits');
is(write_checkpoint(yield_sql($large, 20, 'NULL')), 'WARNING 54000', 'yield: a large cursor is warned of');
is(stored(), '20|2|66002|', 'and stored');
is(write_checkpoint(update_sql($large, 30, 'NULL')), 'WARNING 54000', 'UPDATE: a large cursor is warned of');
is(stored(), '30|3|66002|', 'and stored');
is(write_checkpoint(yield_sql("'40'", 40, $huge)), 'WARNING 54000', 'yield: large results are warned of');
is(stored(), '40|4|2|1100002', 'and stored');
is(write_checkpoint(yield_sql("'5'", 5, 'NULL')), 'WARNING TC001', 'yield: items that fall are warned of');
is(stored(), '5|5|1|', 'and stored');
is(write_checkpoint(update_sql(4, 4, 'NULL')), 'WARNING TC001', 'UPDATE: items that fall are warned of');
is(stored(), '4|6|1|', 'and stored');
is(write_checkpoint(update_sql(4, "'many'", 'NULL')), 'ERROR 23514', 'what is no checkpoint is refused');

# Then it is enforced, in a session that is open too.
my ($in, $session, $complaints) = ('', '', '');
my $psql = IPC::Run::start(
	[ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$session, '2>', \$complaints, $timeout);

sub say_in_session
{
	my ($sql) = @_;

	($session, $complaints) = ('', '');
	$in .= "$sql;\n\\warn said\n\\echo said\n";
	pump_until($psql, $timeout, \$session, qr/^said$/m);
	pump_until($psql, $timeout, \$complaints, qr/^said$/m);
	return $session . $complaints;
}

say_in_session(yield_sql("'50'", 50, 'NULL'));
like(say_in_session(yield_sql("'40'", 40, 'NULL')), qr/WARNING:  items_processed/, 'an open session is warned');
say_in_session(yield_sql("'50'", 50, 'NULL'));
my $before = $node->safe_psql('postgres', "SELECT tasker_checkpoint_get('$other')");

$node->safe_psql('postgres', 'ALTER SYSTEM SET tasker_checkpoint.enforce = error');
$node->reload;
1 until say_in_session('SHOW tasker_checkpoint.enforce') =~ /^error$/m;
like(say_in_session(yield_sql("'40'", 40, 'NULL')), qr/ERROR:  items_processed/, 'and then refused');
$in .= "\\q\n";
$psql->finish;
$node->poll_query_until('postgres', 'SHOW tasker_checkpoint.enforce', 'error');

is(write_checkpoint(yield_sql($large, 60, 'NULL')), 'ERROR 54000', 'yield: a large cursor is refused');
is(write_checkpoint(update_sql($large, 60, 'NULL')), 'ERROR 54000', 'UPDATE: a large cursor is refused');
is(write_checkpoint(yield_sql("'60'", 60, $huge)), 'ERROR 54000', 'yield: large results are refused');
is(write_checkpoint(yield_sql("'0'", 0, 'NULL')), 'ERROR TC001', 'yield: items that fall are refused');
is(write_checkpoint(update_sql(0, 0, 'NULL')), 'ERROR TC001', 'UPDATE: items that fall are refused');
is($node->safe_psql('postgres', "SELECT tasker_checkpoint_get('$other')"), $before,
	'the stored checkpoint survives all of that');
is(write_checkpoint(yield_sql("'70'", 70, 'NULL')), 'accepted', 'and the next good one is accepted');

$node->stop;
done_testing();
