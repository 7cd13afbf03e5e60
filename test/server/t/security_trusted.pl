# Where an administrator marks the extension trusted, which it is not, a role that may
# create things in a database installs it, and gets no right by it that it had not:
# nothing planted runs with others' rights, then or later, and nobody's table is changed

use strict;
use warnings;

use lib 'test/server';

use Planted qw(overload plant ran);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A server of its own, since other tests read the control file meanwhile: a copy finds
# its files by where it is.
my $home = PostgreSQL::Test::Utils::tempdir();
my ($bin, undef) = run_command([ 'pg_config', '--bindir' ]);
my ($server) = $ENV{TESTDIR} =~ m{^(.*)/[^/]+$};
$bin =~ s/^\Q$server\E\/server// or die "$bin is not in $server/server";
system_or_bail('cp', '-a', "$server/server", "$home/server");
my $path = "$home/server$bin";
my ($share, undef) = run_command([ "$path/pg_config", '--sharedir' ]);
like($share, qr/^\Q$home\E/, 'the copy has a control file of its own');
my $control = "$share/extension/tasker_checkpoint.control";

my $node = PostgreSQL::Test::Cluster->new('trusted', install_path => $path =~ s{/bin$}{}r);
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nshared_preload_libraries = tasker_checkpoint\n");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# As a role; what it prints, and its errors.
sub as
{
	my ($role, $sql) = @_;
	my ($ret, $out, $err) = $node->psql('shop', $sql, extra_params => [ '-U', $role ], on_error_stop => 1);

	return $ret == 0 ? $out : $err;
}

# What each may do, all told: who is a member of what, may log in, owns or was granted what.
my $rights = q{
	SELECT 'role', rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles
	UNION ALL SELECT 'member', roleid::regrole::name, member <> 0, admin_option, NULL, NULL, NULL FROM pg_auth_members
	ORDER BY 1, 2, 3};
# What a role may call or touch of the extension's, beyond what is everybody's
my $beyond = q{
	SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'tasker_checkpoint'
	WHERE has_function_privilege('mallory', p.oid, 'EXECUTE') > has_function_privilege('nobody', p.oid, 'EXECUTE')
		OR proowner <> 10
	UNION ALL
	SELECT NULL FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'tasker_checkpoint'
	WHERE has_table_privilege('mallory', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		> has_table_privilege('nobody', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		OR relowner <> 10
	UNION ALL
	SELECT NULL FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
	WHERE typowner <> 10};

$node->safe_psql('postgres', q{
	CREATE ROLE mallory LOGIN;
	CREATE ROLE nobody LOGIN;
	CREATE ROLE prometheus;
	CREATE ROLE dba LOGIN;
	CREATE DATABASE shop OWNER dba;
	GRANT CREATE ON DATABASE shop TO mallory;
});

# Of others: a table with Tasker's name, of the superuser or of the database's owner
$node->safe_psql('shop', q{
	CREATE SCHEMA tasker;
	GRANT USAGE ON SCHEMA tasker TO mallory;
	SET allow_in_place_tablespaces = on;
	CREATE TABLESPACE expensive LOCATION '';
	CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
});
my $table = q{
	SELECT relacl, relhastriggers, (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid)
	FROM pg_class c WHERE oid = 'tasker.workflow_steps'::regclass};

like(as('mallory', 'CREATE EXTENSION tasker_checkpoint'), qr/permission denied to create extension/,
	'as it is delivered a mere role cannot install it');
append_to_file($control, "trusted = true\n");
like(as('mallory', 'CREATE EXTENSION tasker_checkpoint SCHEMA tasker'), qr/permission denied for schema tasker/,
	'marked trusted neither, into a schema where the role may not create things');
$node->safe_psql('shop', 'GRANT CREATE ON SCHEMA tasker TO mallory');

my $rights_before = $node->safe_psql('shop', $rights);
my $table_before = $node->safe_psql('shop', $table);

# Of Tasker's names the extension's schema has one.
foreach my $owner ($superuser, 'dba')
{
	$node->safe_psql('shop', "ALTER TABLE tasker.workflow_steps OWNER TO $owner");
	is(as('mallory', 'CREATE EXTENSION tasker_checkpoint SCHEMA tasker; SELECT tasker.tasker_checkpoint_table() IS NULL'), 't',
		"elsewhere it is, and the table of $owner not attached");
	is($node->safe_psql('shop', $table), $table_before, 'it is as it was');
	is(as('mallory', 'DROP EXTENSION tasker_checkpoint'), '', 'and dropped by who has installed it');
}

# What the installer could attach is attached.
$node->safe_psql('shop', 'GRANT dba TO mallory');
is(as('mallory', 'CREATE EXTENSION tasker_checkpoint SCHEMA tasker; SELECT tasker.tasker_checkpoint_table(); DROP EXTENSION tasker_checkpoint'),
	'tasker.workflow_steps', 'a table of a role that the installer has is attached');
$node->safe_psql('shop', 'REVOKE dba FROM mallory; DROP SCHEMA tasker CASCADE');

# Planted: look-alikes where the script goes, a table of Tasker's name with code in all
# places, temporary tables with names of catalogs and of ours.
my $script = join("\n", map { slurp_file($_) } glob('src/sql/*.sql examples/grants.sql'));
as('mallory', 'CREATE SCHEMA home; CREATE SCHEMA elsewhere');
plant($node, 'shop', 'mallory', 'home', $script,
	'{text,name,"\"char\"",oid,regclass,regtype,int4,int8,bool,jsonb,uuid,interval,timestamptz,float8,numeric,text[],anyelement,anyarray}');
is(as('mallory', q{
	CREATE FUNCTION home.says(place text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		RAISE WARNING 'planted % ran as %', place, current_user;
		RETURN 1;
	END $$;
	CREATE FUNCTION home.fires() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM home.says('trigger');
		RETURN coalesce(NEW, OLD);
	END $$;
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), processed boolean, n integer
		DEFAULT home.says('default'), updated_at timestamptz);
	INSERT INTO tasker.workflow_steps (n) VALUES (1), (2);
	CREATE INDEX ON tasker.workflow_steps ((n + home.says('index expression')));
	CREATE INDEX ON tasker.workflow_steps (n) WHERE n > home.says('index predicate');
	CREATE STATISTICS tasker.planted ON (n + home.says('statistics')), n FROM tasker.workflow_steps;
	ALTER TABLE tasker.workflow_steps ADD CHECK (n < 10 + home.says('check')),
		ADD COLUMN g integer GENERATED ALWAYS AS (n + home.says('generated')) STORED;
	CREATE POLICY planted ON tasker.workflow_steps USING (home.says('policy') = 1);
	ALTER TABLE tasker.workflow_steps ENABLE ROW LEVEL SECURITY;
	ALTER TABLE tasker.workflow_steps FORCE ROW LEVEL SECURITY;
	CREATE TRIGGER planted BEFORE INSERT OR UPDATE OR DELETE ON tasker.workflow_steps FOR EACH ROW EXECUTE FUNCTION home.fires();
	CREATE TRIGGER planted_statement AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tasker.workflow_steps EXECUTE FUNCTION home.fires();
}) =~ s/^.*planted .* ran as mallory$//mgr =~ s/^(CONTEXT|DETAIL|PL|SQL).*$//mgr =~ s/\n//gr, '', 'a table with code');
$node->psql('shop', q{SELECT 1::oid OPERATOR(home.=) 1::regclass, home.says('it')});
my $ran = ran($node);
like($ran, qr/planted op=\(oid, regclass\) ran as $superuser/, 'an operator would run');
like($ran, qr/planted it ran as $superuser/, 'a function would run');

is(as('mallory', q{
	SET client_min_messages = error;
	CREATE TEMPORARY TABLE tasker_checkpoint_events (step_uuid uuid);
	CREATE TEMPORARY TABLE pg_extension AS SELECT * FROM pg_catalog.pg_extension;
	CREATE TEMPORARY TABLE pg_proc AS SELECT * FROM pg_catalog.pg_proc;
	CREATE DOMAIN pg_temp.name AS text CHECK (home.says('domain') = 2);
	CREATE DOMAIN pg_temp.uuid AS text CHECK (home.says('domain') = 2);
	SET search_path = pg_temp, home, pg_catalog;
	SET default_tablespace = expensive;
	SET transform_null_equals = on;
	CREATE EXTENSION tasker_checkpoint SCHEMA home;
	SELECT home.tasker_checkpoint_table()}), 'tasker.workflow_steps', 'installed amid what is planted, and the own table attached');
is(ran($node), '', 'nothing of it ran');

is($node->safe_psql('shop', 'SELECT extowner::regrole FROM pg_extension WHERE extname = \'tasker_checkpoint\''), 'mallory',
	'the extension is the installer\'s');
is($node->safe_psql('shop', $beyond), '', 'what it consists of is a superuser\'s, and the installer has what everybody has');
is($node->safe_psql('shop', $rights), $rights_before, 'roles are as they were');
is($node->safe_psql('shop', 'SELECT count(*) FROM pg_class WHERE reltablespace > 1664'), '0', 'no table is where the role may make none');
foreach my $refused (
	'SELECT * FROM home.tasker_checkpoint_events',
	'SELECT home.tasker_checkpoint_dispatch(gen_random_uuid())',
	'SELECT home.tasker_checkpoint_detach()',
	'SELECT home.tasker_checkpoint_attach_table(\'tasker.workflow_steps\', \'workflow_step_uuid\', \'home.tasker_checkpoint_guard()\')',
	'SELECT * FROM home.tasker_checkpoint_doctor()',
	'ALTER FUNCTION home.tasker_checkpoint_guard() OWNER TO mallory',
	'ALTER EXTENSION tasker_checkpoint DROP FUNCTION home.tasker_checkpoint_table()',
	'CREATE OR REPLACE FUNCTION home.tasker_checkpoint_table() RETURNS regclass LANGUAGE sql AS \'SELECT NULL::regclass\'',
	'DROP FUNCTION home.tasker_checkpoint_table()',
	'ALTER EXTENSION tasker_checkpoint SET SCHEMA elsewhere',
	'CREATE TABLE home.other (id uuid, checkpoint jsonb);
	 CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON home.other FOR EACH ROW EXECUTE FUNCTION home.tasker_checkpoint_guard()',
	'SELECT home.tasker_checkpoint_table(); SET tasker_checkpoint.cursor_limit = -1')
{
	like(as('mallory', "SET client_min_messages = error; $refused"),
		qr/permission denied|must be owner|because extension tasker_checkpoint requires it/, "refused: $refused");
}

# The extension's owner makes members of his own functions.
ran($node);
overload($node, 'shop', 'mallory', 'home');
is(as('mallory', q{
	SET client_min_messages = error;
	SET search_path = pg_catalog;
	CREATE FUNCTION home.tasker_checkpoint_check_planted() RETURNS TABLE (status text, found text, statement text) LANGUAGE plpgsql
		AS $$ BEGIN PERFORM home.says('check'); END $$;
	DO $$
	DECLARE
		f record;
	BEGIN
		FOR f IN SELECT oid::regprocedure AS name FROM pg_proc
			WHERE pronamespace = 'home'::regnamespace AND proowner = 'mallory'::regrole AND starts_with(proname, 'tasker_checkpoint_')
		LOOP
			EXECUTE format('ALTER EXTENSION tasker_checkpoint ADD FUNCTION %s', f.name);
		END LOOP;
	END $$}), '', 'planted functions become members');

# A superuser grants, looks, and does what is proposed.
my $propose = PostgreSQL::Test::Utils::tempdir() . '/propose.sql';
append_to_file($propose, "\\set ON_ERROR_STOP off\n" . join('',
	map { "SELECT statement FROM home.tasker_checkpoint_$_ WHERE statement !~ '^(UPDATE|INSERT|DELETE)' \\gexec\n" } 'health', 'doctor()'));
ran($node);
foreach my $psql (
	[ '-v', 'reader=batch_reader', '-v', 'worker=mallory', '-v', 'operator=mallory', '-f', 'examples/grants.sql' ],
	(map { [ '-c', "SET search_path = pg_catalog, pg_temp; SELECT * FROM home.tasker_checkpoint_$_" ] } 'health', 'progress', 'doctor()', 'queues'),
	[ '-f', $propose ])
{
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('shop'), @$psql ], "a superuser: $psql->[-1]");
	unlike(ran($node), qr/ran as $superuser/, 'nothing planted ran as a superuser');
}

# With what it was granted, the installer works.
my $step = as('mallory', q{SET client_min_messages = error; SELECT workflow_step_uuid FROM tasker.workflow_steps ORDER BY n LIMIT 1});
is(as('mallory', qq{
	SET client_min_messages = error;
	SELECT sequence FROM home.tasker_checkpoint_yield('$step'::uuid, '1'::jsonb, 1::bigint, NULL::jsonb, NULL::uuid);
	SELECT cursor FROM home.tasker_checkpoint_claim('w'::text, '1 minute'::interval, 1, NULL::uuid, NULL::text[])}), "1\n1", 'granted, it works');

like(as('nobody', 'DROP EXTENSION tasker_checkpoint'), qr/must be owner of extension/, 'another does not drop it');
is(as('mallory', q{
	SET client_min_messages = error;
	DROP EXTENSION tasker_checkpoint CASCADE;
	SELECT count(checkpoint) FROM tasker.workflow_steps}), '1', 'its owner does, and checkpoints stay');
is($node->safe_psql('shop', $rights =~ s/FROM pg_roles/FROM pg_roles WHERE rolname <> 'batch_reader'/r), $rights_before, 'roles are as they were');

$node->stop;
done_testing();
