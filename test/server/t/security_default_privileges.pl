# A dump keeps who may use what, and no more, whatever default privileges hold
# where it comes from and where it goes to.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('default_privileges');
$node->init;
$node->start;

# Every privilege of every member, that of owners and PUBLIC included
sub privileges
{
	return $node->safe_psql($_[0], q{
		SELECT pg_describe_object(o.classid, o.objid, 0), CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
			a.privilege_type, a.is_grantable
		FROM pg_depend d
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
		JOIN (
			SELECT 'pg_proc'::regclass AS classid, oid AS objid, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
			UNION ALL SELECT 'pg_class', oid, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
			UNION ALL SELECT 'pg_type', oid, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
		) o USING (classid, objid)
		CROSS JOIN aclexplode(o.acl) a
		ORDER BY 1, 2, 3});
}

my %defaults = (
	'given away' => q{
		ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO anon;
		ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon WITH GRANT OPTION;
		ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO anon;},
	'withheld' => q{
		ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
		ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;},
	'none' => '',
);
$node->safe_psql('postgres', 'CREATE ROLE anon; CREATE ROLE worker; CREATE EXTENSION tasker_checkpoint');
my $plain = privileges('postgres');
unlike($plain, qr/anon/, 'nobody else has a right');

my $n = 0;
foreach my $from (sort keys %defaults)
{
	my $source = 'source' . ++$n;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$source.dump";
	$node->safe_psql('postgres', "CREATE DATABASE $source");
	$node->safe_psql($source, "$defaults{$from}; CREATE EXTENSION tasker_checkpoint;");
	is(privileges($source), $plain, "$from: the same after CREATE EXTENSION");

	# what the site has changed
	$node->safe_psql($source, q{
		GRANT EXECUTE ON FUNCTION tasker_checkpoint_pause(uuid) TO worker;
		REVOKE EXECUTE ON FUNCTION tasker_checkpoint_get(uuid) FROM PUBLIC;
		GRANT SELECT ON tasker_checkpoint_events TO worker;
		REVOKE SELECT ON tasker_checkpoint_progress FROM PUBLIC;});
	my $changed = privileges($source);
	isnt($changed, $plain, 'the site changes some');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr($source) ], "$from: dumped");
	foreach my $to (sort keys %defaults)
	{
		my $target = 'target' . ++$n;
		$node->safe_psql('postgres', "CREATE DATABASE $target");
		$node->safe_psql($target, $defaults{$to}) if $defaults{$to};
		$node->command_ok([ 'pg_restore', '-d', $node->connstr($target), $file ], "$from, to where they are $to: restored");
		is(privileges($target), $changed, "$from, to where they are $to: as they were");
	}
}

$node->stop;
done_testing();
