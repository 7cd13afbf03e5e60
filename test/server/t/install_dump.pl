# Checkpoints, triggers, grants, events, a live claim and the archive survive dump and
# restore, in every format, into a new database, where claim and yields go on; and into a
# later server, if the environment's oldinstall says where an older one is.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Servers qw(old_server attver_stops settings);
use Test::More;

sub node
{
	my ($name, @params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, @params);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', 'log_statement = none');
	$node->start;
	return $node;
}

my $node = node('dump', old_server());
my $new = $ENV{oldinstall} ? node('restore') : $node;
$_->safe_psql('postgres', 'CREATE ROLE worker') for $ENV{oldinstall} ? ($node, $new) : $node;

# The later server's programs, as its documentation asks for, if they can
my $bin = $new->config_data('--bindir');
if ($ENV{oldinstall})
{
	$ENV{LD_LIBRARY_PATH} = "$ENV{oldinstall}/lib";
	$node->safe_psql('postgres', 'CREATE TABLE nothing_of_ours (a int)');
	if (my $reason = attver_stops($node))
	{
		note("pg_dump of the later server: skipped: $reason");
		$bin = $node->config_data('--bindir');
	}
	$node->safe_psql('postgres', 'DROP TABLE nothing_of_ours');
}

# Runs a command; it must succeed and say nothing worse than a NOTICE, or, where
# rows of a restored table pass the guard, a WARNING about a limit.
sub quietly
{
	my ($name, $guarded, @command) = @_;
	my ($out, $err) = ('', '');

	my $ok = IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err);
	$err =~ s/^.*WARNING:  cursor of step ".*" is too large\n(DETAIL|HINT|CONTEXT|COPY).*\n(?:(?:DETAIL|HINT|CONTEXT).*\n)*//gm
	  if $guarded;
	ok($ok, $name) or diag($err);
	unlike($err, qr/WARNING|ERROR|FATAL/i, "$name, without a complaint");
}

my $dump = "$PostgreSQL::Test::Utils::tmp_check/dump_file";

sub dump_file
{
	my ($database, $suffix, @options) = @_;

	quietly("pg_dump @options", 0, "$bin/pg_dump", '--no-sync', @options, '-f', "$dump.$suffix",
		'-d', $node->connstr($database));
}

sub restore_files
{
	my ($database, $suffix) = @_;

	# of a tar nothing is restored side by side
	quietly('pg_restore', 0, 'pg_restore', '--exit-on-error', $suffix eq 'tar' ? () : '--jobs=2', '-d', $new->connstr($database),
		"$dump.$suffix");
}

sub restore_text
{
	my ($database, $suffix, $guarded) = @_;

	quietly('psql', $guarded, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.$suffix",
		'-d', $new->connstr($database));
}

# way => how to get a database into a new one
my %ways = (
	'plain' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'sql');
		restore_text($to, 'sql', 0);
	},
	'inserts' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'inserts', '--inserts');
		restore_text($to, 'inserts', 0);
	},
	'custom' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'custom', '--format=custom');
		restore_files($to, 'custom');
	},
	'tar' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'tar', '--format=tar');
		restore_files($to, 'tar');
	},
	'directory' => sub {
		my ($from, $to) = @_;
		system_or_bail('rm', '-rf', "$dump.directory");
		dump_file($from, 'directory', '--format=directory', '--jobs=2');
		restore_files($to, 'directory');
	},
	# of these schemas, and the extension
	'per schema' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'schemas', '--format=custom', '--schema=tasker|app', '--extension=tasker_checkpoint');
		restore_files($to, 'schemas');
	},
	# the guard is there before the rows
	'schema, then data' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'schema', '--schema-only');
		dump_file($from, 'data', '--data-only');
		restore_text($to, 'schema', 0);
		restore_text($to, 'data', 1);
	},
	'schema, then data by inserts through the root' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'schema', '--schema-only');
		dump_file($from, 'inserts', '--data-only', '--column-inserts', '--load-via-partition-root');
		restore_text($to, 'schema', 0);
		restore_text($to, 'inserts', 1);
	},
	'schema, then data without triggers' => sub {
		my ($from, $to) = @_;
		dump_file($from, 'schema', '--schema-only');
		dump_file($from, 'data', '--data-only', '--disable-triggers');
		restore_text($to, 'schema', 0);
		restore_text($to, 'data', 0);
	});

# What must be the same before and after.
my %facts = (
	'archive' => 'SELECT * FROM tasker_checkpoint_archive ORDER BY 1, 2, 3',
	'events' => 'SELECT * FROM tasker_checkpoint_events ORDER BY 1',
	'table' => 'SELECT tasker_checkpoint_table()',
	'guard' => q{
		SELECT tgname, tgenabled, (SELECT array_agg(attname ORDER BY i) FROM unnest(tgattr) WITH ORDINALITY AS u (n, i)
				JOIN pg_attribute ON attrelid = tgrelid AND attnum = n),
			(SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
				WHERE d.objid = t.oid AND d.classid = 'pg_trigger'::regclass AND d.deptype = 'x'
				AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'tasker_checkpoint')
		FROM pg_trigger t WHERE tgfoid = 'tasker_checkpoint_guard()'::regprocedure AND tgparentid = 0},
	'forgets' => q{
		SELECT pg_get_triggerdef(t.oid), tgenabled, (SELECT count(*) FROM pg_trigger c WHERE c.tgparentid = t.oid),
			(SELECT count(*) FROM pg_depend d WHERE d.objid = t.oid AND d.classid = 'pg_trigger'::regclass AND d.deptype = 'x')
		FROM pg_trigger t WHERE tgfoid = 'tasker_checkpoint_forget()'::regprocedure AND tgparentid = 0},
	'functions of the worker' => q{
		SELECT string_agg(p.proname, ' ' ORDER BY p.proname COLLATE "C") FROM pg_proc p
		JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		WHERE has_function_privilege('worker', p.oid, 'EXECUTE')
		AND p.proname IN ('tasker_checkpoint_yield', 'tasker_checkpoint_save', 'tasker_checkpoint_clear',
			'tasker_checkpoint_reset_for_retry', 'tasker_checkpoint_attach', 'tasker_checkpoint_detach')},
	'comment' => q{SELECT col_description(a.attrelid, a.attnum) LIKE '%kept by tasker_checkpoint'
		FROM pg_attribute a WHERE attrelid = tasker_checkpoint_table() AND attname = 'checkpoint'});

my %expected = (
	'functions of the worker' => 'tasker_checkpoint_save tasker_checkpoint_yield',
	'comment' => 't');

sub checkpoints
{
	my ($server, $database, $table, $key) = @_;
	return $server->safe_psql($database, "SELECT $key, md5(checkpoint::text) FROM $table ORDER BY $key");
}

sub check_restored
{
	my ($server, $from, $to, $way, $table, $key) = @_;
	my $name = "$from, $way";

	is(checkpoints($server, $to, $table, $key), checkpoints($node, $from, $table, $key), "$name: checkpoints are the same");
	foreach my $fact (sort keys %facts)
	{
		is($server->safe_psql($to, $facts{$fact}), $node->safe_psql($from, $facts{$fact}), "$name: $fact as before");
	}

	# the claim is still its holder's
	my $event = $node->safe_psql($from, "SELECT event_id FROM tasker_checkpoint_events WHERE worker = 'holder'");
	is($server->safe_psql($to, qq{
			SET ROLE worker;
			SELECT sequence, event_id = '$event' FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '"held"', 4, NULL, '$event');
			RESET ROLE;
			SELECT tasker_checkpoint_release('$event')}), "4|t\nt", "$name: a claim goes on");

	# each yields its next, as the worker
	is( $server->safe_psql($to, qq{
			SET ROLE worker;
			SELECT string_agg((r.sequence - l.sequence)::text, ' ')
			FROM $table t, tasker_checkpoint_load(t.$key) l,
				tasker_checkpoint_yield(t.$key, '"next"', l.items_processed + 1) r}),
		'1 1 1 1 1', "$name: yields go on with the sequence");
	is($server->safe_psql($to, "SELECT max(jsonb_array_length(checkpoint -> 'history')) FROM $table"), '10',
		"$name: and the guard with its limits");

	# a deleted one takes its event along
	is($server->safe_psql($to, qq{
			DELETE FROM $table WHERE $key = '70000000-0000-0000-0000-000000000002';
			SELECT count(*) FROM tasker_checkpoint_events}), '4', "$name: a deleted step is forgotten");

	my $before = checkpoints($server, $to, $table, $key);
	$server->safe_psql($to, 'DROP EXTENSION tasker_checkpoint');
	is(checkpoints($server, $to, $table, $key), $before, "$name: DROP EXTENSION leaves column and data");
	is($server->safe_psql($to, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_tasker%'"), '0',
		"$name: and no trigger");
}

# Five steps: none cut and claimed, some cut, none kept, larger than the limits allow,
# and one from a time before the extension.
sub fill
{
	my ($database, $schema, $table, $key) = @_;

	$node->safe_psql($database, qq{
		CREATE EXTENSION tasker_checkpoint;
		SELECT tasker_checkpoint_attach('$table', '$key');
		GRANT USAGE ON SCHEMA $schema TO worker;
		GRANT SELECT, UPDATE (checkpoint) ON $table TO worker;
		GRANT EXECUTE ON FUNCTION tasker_checkpoint_yield, tasker_checkpoint_save TO worker;
		SET tasker_checkpoint.archive_history = on;
		SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', to_jsonb(n), n, '{"sum": 1.50, "é": "\\u20ac"}')
			FROM generate_series(1, 3) n;
		SET tasker_checkpoint.history_limit = 4;
		SELECT tasker_checkpoint_yield('70000000-0000-0000-0000-000000000002', '[1, {"a": null}]', n, 'null')
			FROM generate_series(1, 9) n;
		SET tasker_checkpoint.history_limit = 0;
		SELECT tasker_checkpoint_yield('80000000-0000-0000-0000-000000000003', 'null', n)
			FROM generate_series(1, 2) n;
		RESET tasker_checkpoint.history_limit;
		SET tasker_checkpoint.cursor_limit = -1;
		SET tasker_checkpoint.history_size = -1;
		SELECT tasker_checkpoint_yield('f0000000-0000-0000-0000-000000000004', to_jsonb(repeat('x', 100000)), n)
			FROM generate_series(1, 2) n;
		SELECT tasker_checkpoint_claim('holder', '1 hour', 1, '00000000-0000-0000-0000-000000000001');
	});
	is($node->safe_psql($database, 'SELECT count(*), count(worker), (SELECT count(DISTINCT step_uuid) FROM tasker_checkpoint_archive) FROM tasker_checkpoint_events'),
		'4|1|2', "$database: there are events, a claim, and an archive of two steps");
}

my $keys = q{('00000000-0000-0000-0000-000000000001', NULL), ('70000000-0000-0000-0000-000000000002', NULL),
	('80000000-0000-0000-0000-000000000003', NULL), ('f0000000-0000-0000-0000-000000000004', NULL)};
my $older = q{('f0000000-0000-0000-0000-000000000005', (
	SELECT jsonb_build_object('cursor', 300, 'items_processed', 300, 'timestamp', '2026-01-06T12:00:00+00:00',
		'accumulated_results', NULL, 'history',
		jsonb_agg(jsonb_build_object('cursor', n, 'timestamp', '2026-01-06T12:00:00+00:00')))
	FROM generate_series(1, 300) n))};

$node->safe_psql('postgres', 'CREATE DATABASE tasker');
$node->safe_psql('tasker', qq{
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
	INSERT INTO tasker.workflow_steps VALUES $keys, $older;
});
fill('tasker', 'tasker', 'tasker.workflow_steps', 'workflow_step_uuid');

$node->safe_psql('postgres', 'CREATE DATABASE partitioned');
$node->safe_psql('partitioned', qq{
	CREATE SCHEMA app;
	CREATE TABLE app.jobs (id uuid PRIMARY KEY, checkpoint jsonb) PARTITION BY RANGE (id);
	CREATE TABLE app.jobs_low PARTITION OF app.jobs
		FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');
	CREATE TABLE app.jobs_high (checkpoint jsonb, id uuid NOT NULL);
	ALTER TABLE app.jobs ATTACH PARTITION app.jobs_high
		FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO (MAXVALUE);
	INSERT INTO app.jobs VALUES $keys, $older;
});
fill('partitioned', 'app', 'app.jobs', 'id');

foreach my $fact (sort keys %expected)
{
	is($node->safe_psql($_, $facts{$fact}), $expected{$fact}, "$_: $fact") for 'tasker', 'partitioned';
}
is($node->safe_psql('tasker', $facts{guard}),
	'zz_tasker_checkpoint_guard|O|{workflow_step_uuid,checkpoint}|1', 'tasker: the guard');
is($node->safe_psql('partitioned', $facts{guard}),
	'zz_tasker_checkpoint_guard|O|{id,checkpoint}|1', 'partitioned: the guard');
is($node->safe_psql('tasker', $facts{forgets}),
	'CREATE TRIGGER zz_tasker_checkpoint_forget AFTER DELETE ON tasker.workflow_steps FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget()|O|0|1',
	'tasker: what forgets deleted steps');
is($node->safe_psql('partitioned', $facts{forgets}),
	'CREATE TRIGGER zz_tasker_checkpoint_forget AFTER DELETE ON app.jobs FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget()|O|2|1',
	'partitioned: what forgets deleted steps');

foreach my $way (sort keys %ways)
{
	foreach my $source ([ 'tasker', 'tasker.workflow_steps', 'workflow_step_uuid' ],
		[ 'partitioned', 'app.jobs', 'id' ])
	{
		my ($from, $table, $key) = @$source;

		$new->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
		$ways{$way}->($from, 'restored');
		check_restored($new, $from, 'restored', $way, $table, $key);
		$new->safe_psql('postgres', 'DROP DATABASE restored');
	}
}

# The whole server, with what is set for roles and databases
$node->safe_psql('postgres', q{
	ALTER ROLE worker SET tasker_checkpoint.history_limit = 10;
	ALTER DATABASE tasker SET tasker_checkpoint.max_lease = '2h';
	GRANT SET ON PARAMETER tasker_checkpoint.enforce TO worker;
});
my $all = node('all');
quietly('pg_dumpall', 0, "$bin/pg_dumpall", '--no-sync', '-f', "$dump.all", '-d', $node->connstr('postgres'));
my $script = slurp_file("$dump.all") =~ s/^CREATE ROLE postgres;\n//mr;
append_to_file("$dump.all.sql", $script);
quietly('psql', 0, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.all.sql", '-d', $all->connstr('postgres'));
is($all->safe_psql('postgres', settings()), $node->safe_psql('postgres', settings()), 'pg_dumpall: settings as before');
check_restored($all, 'tasker', 'tasker', 'pg_dumpall', 'tasker.workflow_steps', 'workflow_step_uuid');
check_restored($all, 'partitioned', 'partitioned', 'pg_dumpall', 'app.jobs', 'id');
$all->stop;

$node->stop;
$new->stop if $ENV{oldinstall};
done_testing();
