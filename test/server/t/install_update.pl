# ALTER EXTENSION UPDATE in the midst of work: 1,000 claims live through it, workers with
# the old library and with the new one go on, an upgraded database is like a new one, and
# there is a way back.
#
# The version to upgrade to is made here of the present one, as CONTRIBUTING.md says, in a
# copy of the server; each version that is released is upgraded to it.

use strict;
use warnings;

use lib 'test/server';

use Blocks qw(blocks);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $tmp = $PostgreSQL::Test::Utils::tmp_check . '/update';
my ($present) = slurp_file('tasker_checkpoint.control') =~ /^default_version = '(.*)'$/m;
my $next = 'next';

# What the next version has that this one has not. An upgrade script can be begun as a
# copy of this: it ends with the rights of what is new, and leaves others alone, since
# operators have granted them.
my $new_objects = q{
CREATE FUNCTION tasker_checkpoint_next(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_next(uuid) IS 'new, and everybody''s';

CREATE FUNCTION tasker_checkpoint_next_for_operators()
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.count(*) FROM tasker_checkpoint_archive;
END;

CREATE VIEW tasker_checkpoint_next WITH (security_invoker = true) AS
SELECT s.queue, s.waiting FROM tasker_checkpoint_queues s;
};
my $new_rights = q{
GRANT EXECUTE ON FUNCTION tasker_checkpoint_next(uuid) TO PUBLIC;
GRANT SELECT ON tasker_checkpoint_next TO PUBLIC;
};
my $taken_back = q{
DO $privileges$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    own record;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    FOR own IN
        SELECT DISTINCT o.kind, o.identity,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS other
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        JOIN (
            SELECT 'pg_proc'::regclass AS classid, oid AS objid, proname AS name, 'ROUTINE' AS kind,
                   oid::regprocedure::text AS identity, proowner AS owner, coalesce(proacl, acldefault('f', proowner)) AS acl
            FROM pg_proc
            UNION ALL
            SELECT 'pg_class', oid, relname, 'TABLE', oid::regclass::text, relowner, coalesce(relacl, acldefault('r', relowner))
            FROM pg_class
        ) o ON o.classid = d.classid AND o.objid = d.objid
        CROSS JOIN aclexplode(o.acl) a
        WHERE e.extname = 'tasker_checkpoint' AND a.grantee <> o.owner
        AND o.name IN ('tasker_checkpoint_next', 'tasker_checkpoint_next_for_operators')
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', own.kind, own.identity, own.other);
    END LOOP;

    PERFORM set_config('search_path', script_path, true);
END
$privileges$;
};

# What it has otherwise, in the parts and in the upgrade script. A C function that does
# something else gets a name of its own: the old one is still what the old script asks for.
my $get = "CREATE FUNCTION tasker_checkpoint_get(step_uuid uuid)\nRETURNS jsonb\nLANGUAGE C STABLE PARALLEL SAFE\nAS 'MODULE_PATHNAME'";
my ($queues) = slurp_file('src/sql/07-dispatch.sql') =~ /^(CREATE VIEW tasker_checkpoint_queues.*?GROUP BY d\.queue;)$/ms
  or die 'no view of queues';
my $queues_next = $queues =~ s/AS oldest_wait\K$/,\n       pg_catalog.count(*) AS steps/mr;
my $comment = "COMMENT ON VIEW tasker_checkpoint_queues IS\n'";
my @changes = (
	[ '09-read.sql', $get => "$get, 'tasker_checkpoint_get_next'" ],
	[ '07-dispatch.sql', $queues => $queues_next ],
	[ '07-dispatch.sql', $comment => "${comment}now with a sum: " ],
	[ '02-events.sql', 'autovacuum_vacuum_scale_factor = 0.05' => 'autovacuum_vacuum_scale_factor = 0.04' ]);
my ($queues_comment) = slurp_file('src/sql/07-dispatch.sql') =~ /^\Q$comment\E(.*)$/m;
my $upgrade_script = qq{/* from one version to the next */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\\echo Use "ALTER EXTENSION tasker_checkpoint UPDATE" to load this file. \\quit

ALTER TABLE tasker_checkpoint_events SET (autovacuum_vacuum_scale_factor = 0.04);
} . join("\n\n", "$get, 'tasker_checkpoint_get_next';", $queues_next, "${comment}now with a sum: $queues_comment")
  =~ s/^CREATE /CREATE OR REPLACE /mgr . $new_objects . $taken_back . $new_rights;

# A copy of the server, whose files are ours to replace
sub config
{
	my ($pg_config, $what) = @_;
	my ($value) = run_command([ $pg_config, "--$what" ]);
	return $value;
}
my $bindir = config('pg_config', 'bindir');
my $common = dirname($bindir);
$common = dirname($common) until index(config('pg_config', 'sharedir'), "$common/") == 0;
my $server = "$tmp/server" . substr($bindir, length $common);
mkdir $tmp;
system_or_bail('cp', '-al', $common, "$tmp/server");
my $install_path = dirname($server);
is(config("$server/pg_config", $_), config('pg_config', $_) =~ s/^\Q$common\E/$tmp\/server/r, "the copy's $_")
  for 'bindir', 'pkglibdir', 'sharedir';

# The next version's sources
system_or_bail('mkdir', "$tmp/tree");
system_or_bail('cp', '-a', 'Makefile', 'src', 'tasker_checkpoint.control', "$tmp/tree");
unlink glob("$tmp/tree/src/*.o"), glob("$tmp/tree/src/*/*.o");

sub edit
{
	my ($file, $old, $new) = @_;
	my $text = slurp_file("$tmp/tree/$file");
	my $at = index($text, $old);
	die "$file: no $old" if $at < 0;
	substr($text, $at, length $old) = $new;
	unlink "$tmp/tree/$file";
	append_to_file("$tmp/tree/$file", $text);
}
edit("src/sql/$_->[0]", $_->[1], $_->[2]) for @changes;
edit('tasker_checkpoint.control', "'$present'", "'$next'");
append_to_file("$tmp/tree/src/sql/23-next.sql", $new_objects);
append_to_file("$tmp/tree/src/sql/24-privileges.sql", $new_rights);
append_to_file("$tmp/tree/src/api/read.c", qq{
PG_FUNCTION_INFO_V1($_);
Datum
$_(PG_FUNCTION_ARGS)
{
	return tasker_checkpoint_get(fcinfo);
}
}) for 'tasker_checkpoint_next', 'tasker_checkpoint_get_next';
mkdir "$tmp/tree/src/sql/upgrade";
my $sharedir = config("$server/pg_config", 'sharedir');
append_to_file("$tmp/tree/src/sql/upgrade/tasker_checkpoint--$present.sql",
	slurp_file("$sharedir/extension/tasker_checkpoint--$present.sql"));
append_to_file("$tmp/tree/src/sql/upgrade/tasker_checkpoint--$present--$next.sql", $upgrade_script);

sub make
{
	my (@what) = @_;
	my $out = '';
	ok(IPC::Run::run([ 'make', '-s', '-C', "$tmp/tree", "PG_CONFIG=$server/pg_config", 'with_llvm=no', @what ],
			'<', \undef, '>&', \$out), "make @what") or BAIL_OUT($out);
}
make('all', 'COPT=-O0');

my $node = PostgreSQL::Test::Cluster->new('update', install_path => $install_path);
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
log_statement = none
statement_timeout = 120s
tasker_checkpoint.archive_history = on
tasker_checkpoint.history_limit = 2
});
$node->start;

sub query
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database // 'postgres', $sql);
}

# A steps table with the extension, whose rights are given by default to somebody who
# should not have them, and by name to who should.
query('CREATE ROLE somebody');

sub database
{
	my ($name, $version) = @_;

	query("CREATE DATABASE $name TEMPLATE template0");
	query(qq{
		CREATE SCHEMA tasker;
		CREATE TABLE tasker.workflow_steps (
			workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false, updated_at timestamp, checkpoint jsonb);
		ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO somebody;
		ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO somebody;
		CREATE EXTENSION tasker_checkpoint VERSION '$version'}, $name);
	grant($name);
}

sub grant
{
	my ($name) = @_;

	$node->command_ok([ 'psql', '-X', '-q', '-v', 'reader=reader', '-v', 'worker=worker', '-v', 'operator=operator',
			'-f', 'examples/grants.sql', '-d', $node->connstr($name) ], "$name: the roles have their rights");
	query('GRANT SELECT ON tasker_checkpoint_events TO reader', $name);
}

sub name_of
{
	return "from_$_[0]" =~ s/\W/_/gr;
}

# All that the catalogs say of the extension's members and the attached table: where they
# come from is all that may differ.
sub catalogs
{
	my ($name) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $node->installed_command('pg_dump'), '--schema-only', '--binary-upgrade', '--exclude-schema=work',
			'-d', $node->connstr($name) ], '<', \undef, '>', \$out, '2>', \$err)
	  or die $err;
	$out =~ s/^(SELECT pg_catalog\.binary_upgrade_set_next_\w+\(')\d+/$1OID/mg;
	$out =~ s/^(SELECT pg_catalog\.binary_upgrade_create_empty_extension\(.*'\{)\d+,\d+/$1OIDS/mg;
	$out =~ s/^(SELECT pg_catalog\.binary_upgrade_set_next_attribute_versions\().*/$1VERSIONS/mg;
	$out =~ s/^(SET relfrozenxid = ')\d+(', relminmxid = ')\d+/$1XID$2XID/mg;
	$out =~ s/^(WHERE oid = ')\d+/$1OID/mg;
	$out =~ s/^\\(un)?restrict .*\n//mg;
	return $out;
}

sub is_like_new
{
	my ($name, $what) = @_;

	append_to_file("$tmp/$name.dump", catalogs($name));
	my ($differences) = run_command([ 'diff', '-U1', "$tmp/fresh.dump", "$tmp/$name.dump" ]);
	is($differences, '', $what);
}

# psql in a session that stays
sub session
{
	my ($database) = @_;
	my %self = (in => '', out => '', err => '');

	$self{psql} = IPC::Run::start(
		[ $node->installed_command('psql'), '-X', '-A', '-t', '-q', '-f', '-', '-d', $node->connstr($database) ],
		'<', \$self{in}, '>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

sub say_in
{
	my ($self, $sql) = @_;

	($self->{out}, $self->{err}) = ('', '');
	$self->{in} .= "$sql;\n\\warn said\n\\echo said\n";
	pump_until($self->{psql}, $timeout, \$self->{out}, qr/^said$/m);
	pump_until($self->{psql}, $timeout, \$self->{err}, qr/^said$/m);
	return $self->{out} . $self->{err} =~ s/^said\n//mgr;
}

# The oldest version that there is, at work: 1,000 claims are held, and each client
# saves and yields those that are its own. A claim says what its step has stored.
my @versions = split(/\n/, query(qq{
	SELECT version FROM pg_available_extension_versions WHERE name = 'tasker_checkpoint'
	ORDER BY string_to_array(version, '.')::int[]}));
is($versions[-1], $present, "versions: @versions");
database('work', $versions[0]);
query(q{
	CREATE SCHEMA work;
	INSERT INTO tasker.workflow_steps SELECT md5(i || 'step')::uuid FROM generate_series(0, 999) i;
	SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM tasker.workflow_steps;
	CREATE TABLE work.claims AS
		SELECT (row_number() OVER () - 1)::int AS n, step_uuid, event_id, 0 AS items
		FROM tasker_checkpoint_claim('worker', '1 hour', 1000);
	ALTER TABLE work.claims ADD PRIMARY KEY (n);
	GRANT USAGE ON SCHEMA work TO worker;
	GRANT SELECT, UPDATE ON work.claims TO worker;
	ALTER ROLE worker LOGIN;
}, 'work');

my $script = "$tmp/work.sql";
append_to_file($script, q{
\set n :base + 4 * random(0, 82) + :client_id
\set turn random(1, 4)
BEGIN;
UPDATE work.claims SET items = items + 1 WHERE n = :n;
\if :turn < 4
SELECT s.sequence FROM work.claims c, tasker_checkpoint_save(c.step_uuid, to_jsonb(c.items), c.items, '[]', c.event_id) s WHERE c.n = :n \gset
\else
SELECT y.sequence FROM work.claims c, tasker_checkpoint_yield(c.step_uuid, to_jsonb(c.items), c.items, '[]', c.event_id) y WHERE c.n = :n \gset
UPDATE work.claims SET event_id = d.event_id FROM tasker_checkpoint_claim('worker', '1 hour', 1, (SELECT step_uuid FROM work.claims WHERE n = :n)) d WHERE n = :n;
\endif
COMMIT;
});

# Four clients on a third of the claims; they work until the plug is pulled.
my %work;

sub work
{
	my ($name, $base) = @_;
	my $self = $work{$name} = { base => $base, out => '', err => '' };

	$self->{run} = IPC::Run::start(
		[ $node->installed_command('pgbench'), '-n', '-c', 4, '-j', 1, '-T', 600, '-D', "base=$base", '-f', $script,
			$node->connstr('work') . " user=worker application_name=$name" ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{err}, $timeout);
	$node->poll_query_until('work', 'SELECT ' . clients($name) . ' = 4') or die $self->{err};
}

sub clients
{
	return "(SELECT count(*) FROM pg_stat_activity WHERE application_name = '$_[0]')";
}

# Pulls the plug: what is not committed is as if it had not been.
sub stop
{
	my (@names) = @_;

	query(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'worker'}, 'work');
	foreach my $name (@names)
	{
		$work{$name}{run}->finish;
		my @errors = grep { /ERROR|FATAL|PANIC/ && !/due to administrator command/ } split(/\n/, $work{$name}{err});
		is("@errors", '', "$name: no call has failed");
	}
}

# Waits until these have done another 200 each
sub go_on
{
	my ($what, @names) = @_;

	foreach my $name (@names)
	{
		my $done = "(SELECT sum(items) FROM work.claims WHERE n BETWEEN $work{$name}{base} AND $work{$name}{base} + 331)";
		my $before = query("SELECT $done", 'work');
		$node->poll_query_until('work', "SELECT $done >= $before + 200 OR " . clients($name) . ' < 4');
		is(query('SELECT ' . clients($name), 'work'), 4, "$name go on, $what");
	}
}

my $old_session = session('work');
like(say_in($old_session, 'SELECT tasker_checkpoint_version()'), qr/^\Q$present\E$/m, 'a session with the old library');
work('old', 0);
go_on('before', 'old');

make('install');
is(query('SELECT tasker_checkpoint_version()', 'work'), $next, 'a new session has the new library');
is(query('SELECT extversion FROM pg_extension', 'work') =~ s/^.*\n(?=.)//r, $versions[0], 'and the old objects');
like(query("SELECT status, found, statement FROM tasker_checkpoint_check_version()", 'work'),
	qr/^error\|The library is of version next, .*\|ALTER EXTENSION tasker_checkpoint UPDATE;$/m, 'the doctor says what to do');
work('new', 332);
go_on('with the new files', 'old', 'new');

my $step = query('SELECT step_uuid FROM work.claims WHERE n = 999', 'work');
query('ALTER EXTENSION tasker_checkpoint UPDATE', 'work');
go_on('after the update', 'old', 'new');
work('latest', 664);
go_on('after the update', 'latest');

is(query('SELECT status FROM tasker_checkpoint_check_version()', 'work'), 'ok', 'the doctor is content');
is(query("SELECT tasker_checkpoint_next('$step') IS NULL", 'work'), 't', 'what is new is there');
like(say_in($old_session, "SELECT sequence FROM tasker_checkpoint_load('$step')"), qr/^0$/m, 'a session with the old library goes on');
foreach my $function ('next', 'get')
{
	like(say_in($old_session, "\\set VERBOSITY verbose\nSELECT tasker_checkpoint_$function('$step')"),
		qr/ERROR:  42883: could not find function "tasker_checkpoint_(get_)?next" in file ".*tasker_checkpoint\.so"/,
		"and has no $function, and is told so");
}
like(say_in($old_session, 'SELECT found FROM tasker_checkpoint_check_version()'),
	qr/^The library is of version \Q$present\E, the extension of next, .*connect again\.$/m, 'and what to do');

# One that waits with the old library does not see what the new one tells, and looks by
# itself.
$old_session->{in} .= "CALL tasker_checkpoint_wait(timeout => '1 hour');\n\\echo woken\n";
$old_session->{psql}->pump_nb;
$node->poll_query_until('work', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL %'});
query('INSERT INTO tasker.workflow_steps VALUES (gen_random_uuid()) RETURNING tasker_checkpoint_dispatch(workflow_step_uuid)', 'work');
ok(pump_until($old_session->{psql}, $timeout, \$old_session->{out}, qr/^woken$/m), 'one that waits with the old library wakes');
$old_session->{in} .= "\\q\n";
$old_session->{psql}->finish;

# Each committed call is there, and nothing of any other.
my $intact = q{
	SELECT count(*), count(*) FILTER (WHERE l.items_processed = c.items AND l.sequence = c.items),
		count(*) FILTER (WHERE e.event_id = c.event_id AND e.worker = 'worker' AND e.lease_until > now())
	FROM work.claims c, tasker_checkpoint_load(c.step_uuid) l, tasker_checkpoint_events e
	WHERE e.step_uuid = c.step_uuid};
stop('old', 'new', 'latest');
is(query($intact, 'work'), '1000|1000|1000', 'of 1,000 claims none is lost, and none superseded');
note(query('SELECT sum(items) FROM work.claims', 'work') . ' saves and yields');
unlike(slurp_file($node->logfile), qr/ERROR:  (?!could not find function)/, 'nothing else has failed');

# The old script asks the new library for no function that it has not; one that it had
# not would be refused at once.
database(name_of($_), $_) for @versions;
is(query("SELECT extversion FROM pg_extension WHERE extname = 'tasker_checkpoint'", name_of($present)), $present,
	'the present version can be created with the new library');
my ($ret, $out, $err) = $node->psql('work', "SET check_function_bodies = off; CREATE FUNCTION gone() RETURNS text LANGUAGE C AS 'tasker_checkpoint', 'tasker_checkpoint_gone'");
like($err, qr/ERROR:  could not find function "tasker_checkpoint_gone" in file/, 'what a library has not is refused when it is created');

# Each version upgraded is like a new one.
database('fresh', $next);
my $fresh = catalogs('fresh');
append_to_file("$tmp/fresh.dump", $fresh);
cmp_ok(() = $fresh =~ /^CREATE FUNCTION public\.tasker_checkpoint_/mg, '>', 50, 'functions are compared');
like($fresh, qr/^\Q$_\E/m, "and this: $_") for 'COMMENT ON FUNCTION public.tasker_checkpoint_next(step_uuid uuid)',
  'GRANT ALL ON FUNCTION public.tasker_checkpoint_save(', 'CREATE VIEW public.tasker_checkpoint_next', 'CREATE TRIGGER zz_tasker_checkpoint_guard',
  'GRANT SELECT ON TABLE public.tasker_checkpoint_events TO reader';
unlike($fresh, qr/^GRANT .* TO somebody;$/m, 'and somebody has no right');
is_like_new('work', "work: as if $next had been created");
foreach my $version (@versions)
{
	my $name = name_of($version);
	isnt(catalogs($name), $fresh, "$version is something else");
	query('ALTER EXTENSION tasker_checkpoint UPDATE', $name);
	is_like_new($name, "$version, upgraded, is as if $next had been created");
}

# The way back, as docs/stability.md has it: the claims are still those of who holds them.
my $facts = q{
	SELECT md5(string_agg(e::text, ' ' ORDER BY step_uuid)) FROM tasker_checkpoint_events e
	UNION ALL SELECT count(*)::text FROM tasker_checkpoint_archive
	UNION ALL SELECT tasker_checkpoint_table()::text};
my $before = query($facts, 'work');
my ($back) = grep { $_->{code} =~ /DROP EXTENSION/ } blocks('docs/stability.md', 'pgsql');
query($back->{code} =~ s/VERSION '[^']*'/VERSION '$present'/r, 'work');
grant('work');
my $library = config('pg_config', 'pkglibdir') . '/tasker_checkpoint.so';
system_or_bail('cp', '--remove-destination', $library, config("$server/pg_config", 'pkglibdir'));
is(query($facts, 'work'), $before, 'back: events and archive are the same');
is(query("SELECT extversion = tasker_checkpoint_version() FROM pg_extension WHERE extname = 'tasker_checkpoint'", 'work'), 't', 'library and objects are the old ones');
work('back', 0);
go_on('in the version before', 'back');
stop('back');
is(query($intact, 'work'), '1000|1000|1000', 'and of 1,000 claims none is lost');

$node->stop;
done_testing();
