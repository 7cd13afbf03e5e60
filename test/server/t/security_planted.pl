# A superuser who does what examples and docs say runs no code of others, whatever
# a role without rights has planted where the superuser's statements look.

use strict;
use warnings;

use lib 'test/server';

use Planted qw(overload plant ran);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('planted');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nshared_preload_libraries = tasker_checkpoint\n");
$node->start;

# Blocks of the docs that are for superusers begin with this.
my $pin = 'SET search_path = pg_catalog, pg_temp;';
my @blocks;
foreach my $document ('README.md', glob('docs/*.md examples/*/README.md'))
{
	my $text = slurp_file($document);
	while ($text =~ /^ *```sql\n(.*?)^ *```\n/msg)
	{
		my ($sql, $line) = ($1, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));
		push @blocks, { name => "$document:$line", sql => $sql } if $sql =~ /\Q$pin\E/;
	}
}
cmp_ok(scalar(@blocks), '>=', 8, 'the docs have blocks for superusers');
my @files = map { "examples/$_.sql" } qw(steps incidents grants watch);
my $text = join("\n", (map { slurp_file($_) } @files), (map { $_->{sql} } @blocks));

my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE prometheus; CREATE DATABASE planted OWNER mallory');

# In public, which is the database owner's, and in the schema that the superuser's
# search_path begins with.
$node->safe_psql('planted', "CREATE SCHEMA $superuser", extra_params => [ '-U', 'mallory' ]);
plant($node, 'planted', 'mallory', 'public', $text,
	'{text,name,"\"char\"",oid,regclass,regtype,int4,int8,bool,jsonb,uuid,interval,timestamptz,float8,numeric,text[],anyelement,anyarray}');
plant($node, 'planted', 'mallory', $superuser, $text, '{text,name,oid,regclass,anyelement}');
cmp_ok($node->safe_psql('planted', q{SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc WHERE proowner OPERATOR(pg_catalog.=) 'mallory'::pg_catalog.regrole}),
	'>', 10000, 'much is planted');

# As the superuser, with the search_path that a session has.
sub runs
{
	my ($name, @psql) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @psql, '-d', $node->connstr('planted') ],
		'<', \undef, '>', \$out, '2>', \$err);
	ok($ok, "$name runs") or diag($err);
	is(ran($node), '', "$name: nothing that was planted ran");
	return;
}

# They are there to be met.
$node->psql('planted', q{SELECT 1::oid = 1::regclass, format('%s', 'x'::name)});
like(ran($node), qr/planted op=\(oid, regclass\) ran as $superuser/, 'it would run');

runs($files[0], '-f', $files[0]);
runs($files[1], '-f', $files[1]);

# Now that there is something to overload: the same names for arguments that a
# literal, or a value, would be taken for; and where a superuser looks first.
overload($node, 'planted', 'mallory', 'public', $superuser);
$node->safe_psql('planted', "CREATE VIEW $superuser.tasker_checkpoint_$_ AS SELECT public.to_planted('x'::text)", extra_params => [ '-U', 'mallory' ])
  foreach qw(progress health);
ran($node);

foreach my $time ('once', 'again')
{
	runs("$files[2], $time", '-v', 'reader=batch_reader', '-v', 'worker=batch_worker', '-v', 'operator=batch_operator', '-f', $files[2]);
}
runs($files[3], '-v', 'once=1', '-f', $files[3]);
runs('health, progress, doctor', '-c', $pin, '-c', 'SELECT * FROM public.tasker_checkpoint_health',
	'-c', 'SELECT * FROM public.tasker_checkpoint_progress', '-c', 'SELECT * FROM public.tasker_checkpoint_doctor()');

# What they propose, as it is, with the search_path that a session has
my $propose = PostgreSQL::Test::Utils::tempdir() . '/propose.sql';
append_to_file($propose, q{\set ON_ERROR_STOP off
SELECT statement FROM public.tasker_checkpoint_health \gexec
SELECT statement FROM public.tasker_checkpoint_doctor() \gexec
});
runs('what health and doctor propose', '-f', $propose);

foreach my $block (@blocks)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/block.sql';
	append_to_file($file, "\\set reader batch_reader\n\\set worker batch_worker\n\\set operator batch_operator\n" . $block->{sql});
	runs($block->{name}, '-f', $file);
}

$node->stop;
done_testing();
