# pg_upgrade carries checkpoints, guard, dispatch table, archive, grants and settings
# over, by copy and by link, and work goes on in the new server.
#
# The environment's oldinstall is where an older server is, with the extension
# (test/upgrade.sh); without it the old server is of this version, too.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(wait_until);
use Servers qw(old_server attver_stops settings);
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $step = '00000000-0000-0000-0000-000000000001';
my $claimed = '00000000-0000-0000-0000-000000000002';
my $other = '00000000-0000-0000-0000-000000000003';

# Libraries of an older server that this system has not are in a folder of its own.
my $oldinstall = $ENV{oldinstall};
local $ENV{LD_LIBRARY_PATH} = "$oldinstall/lib" if $oldinstall;

sub node
{
	my ($name, @params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, @params);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C', '--data-checksums' ]);
	$node->append_conf('postgresql.conf', "log_statement = none\nshared_preload_libraries = tasker_checkpoint");
	return $node;
}

# pg_upgrade leaves files in the current folder.
my $top = $ENV{TESTDIR};
my $runs = 0;

sub pg_upgrade
{
	my ($old, $new, @options) = @_;
	my $here = "$PostgreSQL::Test::Utils::tmp_check/upgrade" . ++$runs;
	my $out = '';

	mkdir $here;
	chdir $here or die "$here: $!";
	my $ok = IPC::Run::run(
		[ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'),
			'-B', $new->config_data('--bindir'), '-s', $new->host, '-p', $old->port, '-P', $new->port, @options ],
		'<', \undef, '>&', \$out);
	# what the servers say is in files
	$out .= join('', map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*')) unless $ok;
	chdir $top;
	return ($ok, $out);
}

# What has a table, whoever made it, may be more than a newer server reads.
my $plain = node('plain', old_server());
my $versions = join(' to ', map { $_->config_data('--version') =~ s/^PostgreSQL (\S+).*/$1/r } $plain, node('probe'));
note("from $versions");
$plain->append_conf('postgresql.conf', 'shared_preload_libraries = \'\'');
$plain->start;
$plain->safe_psql('postgres', 'CREATE TABLE nothing_of_ours (a int)');
my $reason = attver_stops($plain);
$plain->stop;
if ($reason)
{
	my ($ok, $out) = pg_upgrade($plain, node('plain_new'));
	ok(!$ok, "pg_upgrade from $versions fails at a table that has nothing to do with the extension");
	like($out, qr/unrecognized parameter "pg_attver"/, $reason);
	note("pg_upgrade from $versions: skipped: $reason");
	done_testing();
	exit;
}

my $old = node('old', old_server());
$old->start;
$old->safe_psql('postgres', qq{
	CREATE ROLE worker LOGIN;
	CREATE ROLE operator;
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker.workflow_steps VALUES ('$step'), ('$claimed'), ('$other');
	CREATE EXTENSION tasker_checkpoint;
	GRANT USAGE ON SCHEMA tasker TO worker;
	GRANT SELECT, UPDATE ON tasker.workflow_steps TO worker;
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_save TO worker;
	GRANT SET ON PARAMETER tasker_checkpoint.history_limit TO operator;
	ALTER ROLE worker SET tasker_checkpoint.history_limit = 3;
	ALTER ROLE operator IN DATABASE postgres SET tasker_checkpoint.enforce = 'warning';
	ALTER DATABASE postgres SET tasker_checkpoint.max_lease = '2h';
	SET tasker_checkpoint.archive_history = on;
	SET tasker_checkpoint.history_limit = 4;
	SELECT tasker_checkpoint_yield('$step', to_jsonb(n), n, '{"sum": 1.50}') FROM generate_series(1, 9) n;
	SELECT tasker_checkpoint_pause('$step');
	SELECT tasker_checkpoint_dispatch('$claimed');
});
my $event = $old->safe_psql('postgres', "SELECT event_id FROM tasker_checkpoint_claim('worker', '1 hour')");
my $save = qq{SELECT sequence, event_id = '$event', replayed FROM tasker_checkpoint_save('$claimed', '{"at": [1, 2.50]}', 1, '"é"', '$event')};
is($old->safe_psql('postgres', $save), '1|t|f', 'a save whose reply is lost');

my @facts = (
	"SELECT workflow_step_uuid, checkpoint FROM tasker.workflow_steps ORDER BY 1",
	"SELECT * FROM tasker_checkpoint_events ORDER BY 1",
	"SELECT * FROM tasker_checkpoint_archive ORDER BY 1, 2, 3",
	"SELECT * FROM tasker_checkpoint_history('$step')",
	"SELECT extversion, tasker_checkpoint_table() FROM pg_extension WHERE extname = 'tasker_checkpoint'",
	q{SELECT count(*) FILTER (WHERE deptype <> 'e'),
		count(*) FILTER (WHERE deptype = 'e' AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass))
		FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint')},
	settings());
my @before = map { $old->safe_psql('postgres', $_) } @facts;
like($before[2], qr/^\Q$step\E/, 'there is something in the archive');
like($before[6], qr/history_limit=3.*enforce=warning|enforce=warning.*history_limit=3/s, 'roles and database have settings');
$old->stop;

foreach my $mode ('copy', 'link')
{
	# what is linked must not be started again
	my $from = PostgreSQL::Test::Cluster->new("old_$mode", old_server());
	system_or_bail('cp', '-a', $old->data_dir, $from->data_dir);
	my $new = node("new_$mode");

	my ($ok, $out) = pg_upgrade($from, $new, $mode eq 'link' ? '--link' : ());
	ok($ok, "$mode: pg_upgrade from $versions") or diag($out), last;

	$new->start;
	is($new->safe_psql('postgres', $facts[$_]), $before[$_], "$mode: the same: $facts[$_]") for 0 .. $#facts;
	is($new->safe_psql('postgres', 'SHOW tasker_checkpoint.max_lease; SELECT tasker_checkpoint_version() IS NOT NULL', connstr => $new->connstr('postgres')),
		"2h\nt", "$mode: the database's setting is in force");
	is($new->safe_psql('postgres', 'SHOW tasker_checkpoint.history_limit', extra_params => [ '-U', 'worker' ]), '3',
		"$mode: and the role's");
	is($new->safe_psql('postgres', $save), '1|t|t', "$mode: the save, repeated, is answered as the replay that it is");
	is($new->safe_psql('postgres', "SET ROLE worker; SELECT sequence, event_id = '$event' FROM tasker_checkpoint_save('$claimed', '2', 2, NULL, '$event')"),
		'2|t', "$mode: a claim goes on");
	is($new->safe_psql('postgres', "SELECT count(*) FROM tasker_checkpoint_claim('other', max_steps => 9)"), '0', "$mode: what is paused is not claimed");

	# A session that listens and one that waits
	my %session;
	foreach my $name ('listens', 'waits')
	{
		my $self = $session{$name} = { in => '', out => '', err => '' };
		$self->{psql} = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', $new->connstr('postgres') ],
			'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $timeout);
	}
	my ($listens, $waits) = @session{'listens', 'waits'};
	$listens->{in} .= "LISTEN tasker_checkpoint;\n\\echo listening\n";
	pump_until($listens->{psql}, $timeout, \$listens->{out}, qr/^listening$/m);
	$waits->{in} .= "CALL tasker_checkpoint_wait(timeout => '10 minutes');\n\\echo woken\n";
	$waits->{psql}->pump_nb;
	$new->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL %'});
	is($new->safe_psql('postgres', "SELECT tasker_checkpoint_resume('$step'); SELECT step_uuid, cursor FROM tasker_checkpoint_claim('other')"),
		"t\n$step|9", "$mode: until it is resumed");
	$new->safe_psql('postgres', "SELECT tasker_checkpoint_dispatch('$other')");
	ok(pump_until($waits->{psql}, $timeout, \$waits->{out}, qr/^woken$/m), "$mode: a session that waits is woken");
	# psql prints it with its next command
	wait_until('a notification', sub {
		$listens->{out} = '';
		$listens->{in} .= "SELECT;\n\\echo looked\n";
		pump_until($listens->{psql}, $timeout, \$listens->{out}, qr/^looked$/m);
		return $listens->{out} =~ /$other/;
	});
	like($listens->{out}, qr/Asynchronous notification "tasker_checkpoint" .*$other/, "$mode: and one that listens is told");
	foreach my $self (values %session)
	{
		$self->{in} .= "\\q\n";
		$self->{psql}->finish;
	}

	is($new->safe_psql('postgres', "SELECT status FROM tasker_checkpoint_check_version()"), 'ok', "$mode: library and objects are of one version");
	is($new->safe_psql('postgres', 'DROP EXTENSION tasker_checkpoint; SELECT count(checkpoint) FROM tasker.workflow_steps'), '2',
		"$mode: DROP EXTENSION leaves the checkpoints");
	$new->stop;
}

done_testing();
