# Code that a role without rights has planted, and what of it was run, for tests of
# whose code runs with whose rights.

package Planted;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(overload plant ran);

# As the role, into its schema, look-alikes of all of pg_catalog's that the text has, for
# arguments of these kinds: by test/plant.sql.
sub plant
{
	my ($node, $database, $role, $schema, $text, $kinds) = @_;
	my $plant = slurp_file('test/plant.sql');

	$node->safe_psql($database, qq{
SET search_path = pg_catalog;
SET client_min_messages = error;
SET check_function_bodies = off;
$plant
CALL pg_temp.plant('$schema', \$text\$$text\$text\$, '$kinds');
}, extra_params => [ '-U', $role ]);
	return;
}

# As the role, into these schemas, what has the names of the extension's functions, for
# arguments that a literal, or a value, would be taken for.
sub overload
{
	my ($node, $database, $role, @schemas) = @_;
	my $schemas = join(', ', map { "'$_'" } @schemas);

	$node->safe_psql($database, qq{
	SET check_function_bodies = off;
	SET search_path = pg_catalog;
	DO \$\$
	DECLARE
		f record;
		home text;
	BEGIN
		FOR f IN SELECT p.proname, p.pronargs, k.kind FROM pg_proc p
			CROSS JOIN unnest('{text,name,anyelement,regclass,jsonb,uuid,interval}'::text[]) k (kind)
			WHERE starts_with(proname::text, 'tasker_checkpoint_')
			AND pronamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'tasker_checkpoint')
		LOOP
			FOREACH home IN ARRAY ARRAY[$schemas] LOOP
				BEGIN
					EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', home, f.proname,
						array_to_string(array_fill(f.kind, ARRAY[f.pronargs]), ', '),
						format('BEGIN RAISE WARNING ''planted %%%% ran as %%%%'', %L, current_user; RETURN NULL; END', f.proname));
				EXCEPTION WHEN duplicate_function THEN
					NULL;
				END;
			END LOOP;
		END LOOP;
	END \$\$}, extra_params => [ '-U', $role ]);
	return;
}

# What was run since the last time, by the server's log.
my %position;
sub ran
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile, $position{ $node->name } // 0);
	my %seen;

	$position{ $node->name } = -s $node->logfile;
	return join(' ', grep { !$seen{$_}++ } $log =~ /(planted .+? ran as \w+)/g);
}

1;
