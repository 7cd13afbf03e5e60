# The files in a folder of their own, as in an image that is mounted beside the server:
# by extension_control_path and dynamic_library_path it is created, preloaded and works.

use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('control_path');
plan skip_all => 'extension_control_path is of PostgreSQL 18' if $node->pg_version < 18;

# Debian's server has no prefix that all is below: both folders are named. They are moved
# then: nothing of what is installed may know where it is.
my $built = PostgreSQL::Test::Utils::tempdir . '/built';
my $image = PostgreSQL::Test::Utils::tempdir . '/image';
command_ok([ 'make', '-s', 'install', "datadir=$built/share", "pkglibdir=$built/lib" ],
	'make install takes folders');
rename($built, $image) or die "$image: $!";

my ($version) = slurp_file('tasker_checkpoint.control') =~ /^default_version = '(.*)'$/m;
my @files;
find({ no_chdir => 1, wanted => sub { push @files, $_ =~ s/^\Q$image\E\///r if -f && !/\/bitcode\// } }, $image);
is_deeply([ sort @files ],
	[ 'lib/tasker_checkpoint.so', "share/extension/tasker_checkpoint--$version.sql", 'share/extension/tasker_checkpoint.control' ],
	'control file, script and library are all there is, but for the bitcode');

# Without $system nothing is created by a file that was installed with the server. It has
# a library, too, behind the image's on the path, where that of PL/pgSQL is found.
my $nowhere = PostgreSQL::Test::Utils::tempdir;
$node->init;
$node->append_conf('postgresql.conf', qq{
extension_control_path = '$nowhere'
});
$node->start;
my ($status, $out, $error) = $node->psql('postgres', 'CREATE EXTENSION tasker_checkpoint');
like($error, qr/extension "tasker_checkpoint" is not available/, 'without the folder there is none');

$node->append_conf('postgresql.conf', qq{
extension_control_path = '$image/share'
dynamic_library_path = '$image/lib:\$libdir'
shared_preload_libraries = 'tasker_checkpoint'
});
$node->restart;
is($node->safe_psql('postgres', q{
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_create_table('jobs');
	INSERT INTO jobs (name) VALUES ('invoices');
	SELECT count(tasker_checkpoint_dispatch(id)) FROM jobs;
	SELECT (tasker_checkpoint_yield(step_uuid, '4711', 5000, NULL, event_id)).sequence FROM tasker_checkpoint_claim('worker');
	SELECT checkpoint -> 'cursor' FROM jobs;
	SELECT DISTINCT (regexp_matches(pg_read_file('/proc/self/maps'), '\S+/tasker_checkpoint\.so', 'g'))[1];
}), "jobs\n1\n1\n4711\n$image/lib/tasker_checkpoint.so", 'the extension works, by the library that is there');

# The second of two commits in quick succession starts the notifier, which loads the
# library by itself; what it sends is counted.
ok($node->poll_query_until('postgres', q{
	DO $$ BEGIN
		FOR n IN 1 .. 100 LOOP
			PERFORM tasker_checkpoint_yield(id, to_jsonb(5000 + n), 5000) FROM jobs;
			COMMIT;
		END LOOP;
	END $$;
	SELECT notifications_batched > 0 FROM tasker_checkpoint_stats();
}, "DO\nt"), 'so does the notifier');
is($node->safe_psql('postgres', q{SELECT status, found FROM tasker_checkpoint_doctor() WHERE "check" = 'version' AND status <> 'ok'}),
	'', 'and the doctor finds that its files are of one version');

$node->stop;
done_testing();
