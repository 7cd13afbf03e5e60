# A superuser who does what examples and docs say runs no code of others, whatever
# a role without rights has planted where the superuser's statements look.

use strict;
use warnings;

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
sub plant
{
	my ($schema, $kinds) = @_;
	my $plant = slurp_file('test/plant.sql');
	$node->safe_psql('planted', qq{
SET search_path = pg_catalog;
SET client_min_messages = error;
SET check_function_bodies = off;
$plant
CALL pg_temp.plant('$schema', \$text\$$text\$text\$, '$kinds');
}, extra_params => [ '-U', 'mallory' ]);
	return;
}
$node->safe_psql('planted', "CREATE SCHEMA $superuser", extra_params => [ '-U', 'mallory' ]);
plant('public', '{text,name,"\"char\"",oid,regclass,regtype,int4,int8,bool,jsonb,uuid,interval,timestamptz,float8,numeric,text[],anyelement,anyarray}');
plant($superuser, '{text,name,oid,regclass,anyelement}');
cmp_ok($node->safe_psql('planted', q{SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc WHERE proowner OPERATOR(pg_catalog.=) 'mallory'::pg_catalog.regrole}),
	'>', 10000, 'much is planted');

# What the log has since the last time.
my $position = -s $node->logfile;
sub ran
{
	my $log = slurp_file($node->logfile, $position);
	$position = -s $node->logfile;
	my %seen;
	return join(' ', grep { !$seen{$_}++ } $log =~ /(planted .+? ran as \w+)/g);
}

# As the superuser, with the search_path that a session has.
sub runs
{
	my ($name, @psql) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @psql, '-d', $node->connstr('planted') ],
		'<', \undef, '>', \$out, '2>', \$err);
	ok($ok, "$name runs") or diag($err);
	is(ran(), '', "$name: nothing that was planted ran");
	return;
}

# They are there to be met.
$node->psql('planted', q{SELECT 1::oid = 1::regclass, format('%s', 'x'::name)});
like(ran(), qr/planted op=\(oid, regclass\) ran as $superuser/, 'it would run');

runs($files[0], '-f', $files[0]);
runs($files[1], '-f', $files[1]);

# Now that there is something to overload: the same names for arguments that a
# literal, or a value, would be taken for; and where a superuser looks first.
$node->safe_psql('planted', q{
	SET check_function_bodies = off;
	SET search_path = pg_catalog;
	DO $$
	DECLARE
		f record;
		home text;
	BEGIN
		FOR f IN SELECT p.proname, p.pronargs, k.kind FROM pg_proc p
			CROSS JOIN unnest('{text,name,anyelement,regclass,jsonb,uuid,interval}'::text[]) k (kind)
			WHERE starts_with(proname::text, 'tasker_checkpoint_') AND pronamespace = 'public'::regnamespace
		LOOP
			FOREACH home IN ARRAY ARRAY['public', '} . $superuser . q{'] LOOP
				BEGIN
					EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', home, f.proname,
						array_to_string(array_fill(f.kind, ARRAY[f.pronargs]), ', '),
						format('BEGIN RAISE WARNING ''planted %%%% ran as %%%%'', %L, current_user; RETURN NULL; END', f.proname));
				EXCEPTION WHEN duplicate_function THEN
					NULL;
				END;
			END LOOP;
		END LOOP;
	END $$}, extra_params => [ '-U', 'mallory' ]);
$node->safe_psql('planted', "CREATE VIEW $superuser.tasker_checkpoint_$_ AS SELECT public.to_planted('x'::text)", extra_params => [ '-U', 'mallory' ])
  foreach qw(progress health);
ran();

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
