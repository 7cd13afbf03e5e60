# The steps table is looked up while a second guarded table, and others, come and go: the
# answer is the one that is left, or 55000, and the lookup ends. Health fails for none of
# them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('attach_race');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION tasker_checkpoint;
	CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
	SELECT tasker_checkpoint_attach('steps', 'id');
	INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
	CREATE TABLE wrong (what text);
	GRANT CREATE ON SCHEMA public TO PUBLIC;
});

# What a function says is right if it is of the one table, or 55000.
my $look = q{
	DO $$
	BEGIN
		IF tasker_checkpoint_table() <> 'steps'::regclass THEN
			INSERT INTO wrong VALUES ('table');
		END IF;
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 1);
		IF tasker_checkpoint_cursor('00000000-0000-0000-0000-000000000001') <> '1' THEN
			INSERT INTO wrong VALUES ('cursor');
		END IF;
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		IF SQLERRM <> 'two steps tables are attached' THEN
			INSERT INTO wrong VALUES (SQLERRM);
		END IF;
	END
	$$;
};
my $second = q{
	CREATE TABLE second (id uuid PRIMARY KEY, checkpoint jsonb);
	CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON second
		FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
	DROP TABLE second;
};
my $schema = q{
	CREATE SCHEMA gone;
	CREATE TABLE gone.third (id uuid PRIMARY KEY, checkpoint jsonb);
	CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON gone.third
		FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
	DROP SCHEMA gone CASCADE;
};
my $others = q{
	CREATE TABLE other (id uuid PRIMARY KEY);
	DROP TABLE other;
};

# Runs scripts at once for some seconds; returns their transactions.
sub run_together
{
	my (%script) = @_;
	my (@runs, %done);
	for my $name (sort keys %script)
	{
		my ($clients, $sql) = @{ $script{$name} };
		my $file = $node->basedir . "/$name.sql";
		append_to_file($file, $sql =~ s/\s*\n\s*/ /gr);
		my $out = '';
		my $run = IPC::Run::start([ 'pgbench', '-n', '-T', 5, '-c', $clients, '-f', $file,
			'-h', $node->host, '-p', $node->port, 'postgres' ],
			'<', \undef, '>', \$out, '2>&1');
		push @runs, [ $name, $run, \$out ];
	}
	for (@runs)
	{
		my ($name, $run, $out) = @$_;
		ok($run->finish, "$name: no client lost its connection") or diag $$out;
		($done{$name}) = $$out =~ /transactions actually processed: (\d+)/;
	}
	return %done;
}

my %done = run_together(look => [ 4, $look ], second => [ 1, $second ],
	schema => [ 1, $schema ], others => [ 1, $others ]);
cmp_ok($done{$_}, '>', 10, "$_: made progress") for sort keys %done;
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT what, $$; $$) FROM wrong'), '',
	'every answer was the steps table, or that there are two');
is($node->safe_psql('postgres', 'SELECT tasker_checkpoint_table()'), 'steps', 'one is left');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP|PANIC/, 'no server process crashed');

# Health and doctor meanwhile look at tables that have the names, the columns and
# the comments of a steps table, and are gone when they come to tell of them.
my $health = 'SELECT count(*) FROM tasker_checkpoint_health;';
sub planted
{
	my ($schema, $table) = @_;
	return qq{
		CREATE TABLE $schema.$table (id uuid PRIMARY KEY, workflow_step_uuid uuid, checkpoint jsonb);
		COMMENT ON COLUMN $schema.$table.checkpoint IS 'progress of a batch worker: x';
		DROP TABLE $schema.$table;
	};
}
$node->safe_psql('postgres', 'CREATE SCHEMA tasker');
%done = run_together(health => [ 3, $health ], copies => [ 1, planted('public', 'step') ],
	more_copies => [ 1, planted('public', 'tep') ], taskers => [ 1, planted('tasker', 'workflow_steps') ]);
cmp_ok($done{$_}, '>', 10, "$_: made progress") for sort keys %done;
$node->safe_psql('postgres', 'DROP TRIGGER zz_tasker_checkpoint_guard ON steps; COMMENT ON COLUMN steps.checkpoint IS NULL');
%done = run_together(unattached_health => [ 3, $health ],
	unattached_tables => [ 1, planted('public', 'commented') ],
	unattached_more => [ 1, planted('public', 'commented_2') ],
	unattached_taskers => [ 1, planted('tasker', 'workflow_steps') ]);
cmp_ok($done{$_}, '>', 10, "$_: made progress") for sort keys %done;
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP|PANIC/, 'health: no server process crashed');

done_testing();
