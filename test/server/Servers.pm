# The older server that a test moves from: the environment's oldinstall, which
# test/upgrade.sh sets, says where it is installed. Without it both are of one version.

package Servers;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(old_server attver_stops settings);

# Arguments for PostgreSQL::Test::Cluster->new()
sub old_server
{
	return $ENV{oldinstall} ? (install_path => $ENV{oldinstall}) : ();
}

# 15.20 and 17.12 note an option pg_attver of each column, of anybody's table, which
# the newer pg_dump writes down and other servers refuse. Says so of a running server that
# has a table and none of ours, if this server's pg_dump does.
sub attver_stops
{
	my ($old) = @_;
	my ($dump) = run_command([ 'pg_dump', '--schema-only', '-d', $old->connstr('postgres') ]);

	return $dump =~ /^(ALTER TABLE .* SET \(pg_attver=\d+\);)$/m ? "pg_dump writes $1, of any table" : undef;
}

# What is set for roles and databases, and who may set what
sub settings
{
	return q{
		SELECT datname, rolname, setconfig
		FROM pg_db_role_setting
		LEFT JOIN pg_database d ON d.oid = setdatabase
		LEFT JOIN pg_roles r ON r.oid = setrole
		UNION ALL
		SELECT parname, NULL, paracl::text[] FROM pg_parameter_acl
		ORDER BY 1, 2};
}

1;
