# Whatever a role calls, with whatever arguments and in whatever transaction: no
# internal error, no crash, nothing leaked, and an error leaves checkpoints alone.
# The calls are of the functions that the catalogs list, seeded.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{HOSTILE_SEED} // 20261127;
note("HOSTILE_SEED=$seed");
srand($seed);
my $calls_per_round = $ENV{HOSTILE_CALLS} // 700;
# 20 s; longer where all takes longer
my $statement_timeout = int($PostgreSQL::Test::Utils::timeout_default / 9);

my $step = '00000000-0000-0000-0000-000000000001';
my $other = '00000000-0000-0000-0000-000000000002';

# Values for an argument of a type, or of that name; the first is a plausible one.
my %values = (
	uuid => [ "'$step'", "(SELECT public.current_event('$step'))", "'$other'", 'NULL', "'00000000-0000-0000-0000-000000000000'",
		"'ffffffff-ffff-ffff-ffff-ffffffffffff'" ],
	event => [ "(SELECT public.current_event('$step'))", "(SELECT public.current_event('$other'))", 'NULL',
		"'00000000-0000-0000-0000-000000000000'", "'$step'" ],
	jsonb => [ q{'1'}, 'NULL', q{'null'}, q{'0'}, q{'-0.0'}, q{'true'}, q{'""'}, q{'[]'}, q{'{}'},
		qq{'{"step_uuid": "$step", "cursor": 1, "items_processed": 1}'}, qq{'{"items_processed": -1, "step_uuid": "x"}'},
		qq{'{"cursor": {}, "items_processed": 1e400, "step_uuid": "$step"}'}, qq{'{"a": "$step", "step_uuid": "$step"}'},
		q{'{"cursor": 1, "items_processed": 1, "history": 7, "history_truncated": 9223372036854775807, "timestamp": []}'},
		q{(SELECT ('1e131071')::jsonb)}, q{(SELECT ('[' || repeat('1e9999,', 999) || '0]')::jsonb)},
		q{(SELECT (repeat('[', 900) || repeat(']', 900))::jsonb)}, q{(SELECT (repeat('{"a":', 900) || '1' || repeat('}', 900))::jsonb)},
		q{(SELECT to_jsonb(repeat('x', 1048576)))}, q{(SELECT jsonb_object_agg(i, i) FROM generate_series(1, 5000) i)},
		q{(SELECT jsonb_build_object('cursor', 1, 'items_processed', 1, 'timestamp', repeat('9', 5000), 'history', jsonb_build_array(1, null, '{}'::jsonb)))} ],
	int8 => [ '1', '0', '-1', '2', 'NULL', '9223372036854775807', '-9223372036854775808' ],
	int4 => [ '1', '0', '-1', '1000', '1001', 'NULL', '2147483647', '-2147483648' ],
	interval => [ q{'1 minute'}, q{'0'}, q{'-1 second'}, 'NULL', q{'1 microsecond'}, q{'178000000 years'}, q{'-178000000 years'},
		q{'1 month -30 days'}, q{'-1 month 31 days'}, q{'2147483647 days'}, q{'2147483647 months 2147483647 days 2562047788 hours'} ],
	text => [ q{'worker'}, q{''}, q{' '}, 'NULL', q{(SELECT repeat('x', 1048576))}, q{(SELECT repeat('x', 200))},
		q{(SELECT repeat(U&'\00e9', 101))}, q{E'a\'b"c\\\\d\ne'} ],
	float4 => [ '100', '0', '-1', '1e-30', q{'NaN'}, q{'Infinity'}, q{'-Infinity'}, 'NULL' ],
	bool => [ 'false', 'true', 'NULL' ],
	name => [ q{'id'}, q{''}, 'NULL', q{'checkpoint'}, q{'no such'}, q{'a"b''c'}, q{(SELECT repeat('n', 63))}, q{'ctid'} ],
	oid => [ q{'hostile.steps'::regclass}, 'NULL', '0', '4294967295', q{'pg_class'::regclass}, q{'hostile.plain'::regclass} ],
	regclass => [ q{'hostile.steps'}, 'NULL', '0', '4294967295', q{'pg_class'}, q{'hostile.steps_pkey'}, q{'hostile.plain'},
		q{'hostile.view'}, q{'hostile.parts'}, q{'hostile.sequence'}, q{'hostile."a""b''c"'}, q{'pg_toast.pg_toast_2618'} ],
	'text[]' => [ q{'{default}'}, 'NULL', q{'{}'}, q{'{NULL}'}, q{'{{a,b},{c,d}}'}, q{(SELECT array_agg(i::text) FROM generate_series(1, 2000) i)} ],
	regprocedure => [ q{'tasker_checkpoint_check_table()'}, 'NULL', '0', '4294967295', q{'tasker_checkpoint_doctor()'}, q{'pg_backend_pid()'},
		q{'hostile.tasker_checkpoint_check_planted()'}, q{'tasker_checkpoint_guard()'}, q{'tasker_checkpoint_check_grants()'} ],
);

sub pick { return $_[ int(rand(@_)) ]; }

# A way to call: what is run before, around and after it.
my $at_commit = sub { "BEGIN; DECLARE c CURSOR WITH HOLD FOR $_[0]; COMMIT; FETCH ALL FROM c; CLOSE c;" };
my @ways = (
	sub { "$_[0];" },
	sub { "BEGIN; $_[0]; ROLLBACK;" },
	sub { "BEGIN; SELECT 1/0; $_[0]; ROLLBACK;" },
	sub { "BEGIN READ ONLY; $_[0]; ROLLBACK;" },
	sub { "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; $_[0]; COMMIT;" },
	sub { "BEGIN ISOLATION LEVEL SERIALIZABLE; $_[0]; $_[0]; COMMIT;" },
	sub { "BEGIN; SAVEPOINT a; $_[0]; ROLLBACK TO a; $_[0]; RELEASE a; COMMIT;" },
	sub { "BEGIN; SAVEPOINT a; SAVEPOINT b; $_[0]; ROLLBACK TO a; SELECT 1; COMMIT;" },
	sub { "DO \$hostile\$ BEGIN PERFORM public.attempt(\$call\$$_[0]\$call\$); END \$hostile\$;" },
	sub { "SELECT public.attempt(\$call\$$_[0]\$call\$), public.attempt(\$call\$$_[0]\$call\$);" },
	sub { "INSERT INTO hostile.by_trigger VALUES (\$call\$$_[0]\$call\$);" },
	sub { "BEGIN; DECLARE c CURSOR FOR $_[0]; FETCH 1 FROM c; MOVE ALL FROM c; CLOSE c; COMMIT;" },
	$at_commit,
	sub { "PREPARE p AS $_[0]; EXECUTE p; EXECUTE p; DEALLOCATE p;" },
	sub { "BEGIN; $_[0]; PREPARE TRANSACTION 'hostile'; " . pick('COMMIT', 'ROLLBACK') . " PREPARED 'hostile';" },
);

# As things can be; the next round begins anew.
my %rounds = (
	attached => '',
	detached => 'SELECT tasker_checkpoint_detach();',
	'behind row security' => q{ALTER TABLE hostile.steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		CREATE POLICY odd ON hostile.steps USING (note = 1 / (id <> '00000000-0000-0000-0000-000000000003')::int);},
	'columns dropped' => 'ALTER TABLE hostile.steps DROP COLUMN processed CASCADE, DROP COLUMN updated_at CASCADE, DROP COLUMN results CASCADE;',
	'checkpoint dropped' => 'ALTER TABLE hostile.steps DROP COLUMN checkpoint CASCADE;',
	'renamed events' => 'ALTER TABLE tasker_checkpoint_events RENAME TO renamed;',
	'strict' => q{SET tasker_checkpoint.require_claim = on; SET tasker_checkpoint.history_limit = 0; SET tasker_checkpoint.archive_history = on;},
	'loose' => q{SET tasker_checkpoint.enforce = warning; SET tasker_checkpoint.history_limit = -1; SET tasker_checkpoint.require_monotonic_items = all;
		SET tasker_checkpoint.notify = off;},
);

my $begin = qq{
	RESET ROLE;
	SET client_min_messages = error;
	DROP EXTENSION IF EXISTS tasker_checkpoint CASCADE;
	DROP SCHEMA IF EXISTS hostile CASCADE;
	DROP TABLE IF EXISTS renamed;
	CREATE SCHEMA hostile AUTHORIZATION hostile_owner;
	GRANT USAGE ON SCHEMA hostile TO PUBLIC;
	CREATE EXTENSION tasker_checkpoint SCHEMA public;
	SET ROLE hostile_owner;
	CREATE TABLE hostile.steps (gone int, id uuid PRIMARY KEY, note int DEFAULT 1, processed boolean, in_process boolean,
		inputs jsonb, results jsonb, updated_at timestamptz, checkpoint jsonb);
	ALTER TABLE hostile.steps DROP COLUMN gone;
	INSERT INTO hostile.steps (id) SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 5) i;
	CREATE TABLE hostile.plain (id uuid PRIMARY KEY, checkpoint text);
	CREATE TABLE hostile."a""b'c" (workflow_step_uuid uuid PRIMARY KEY);
	CREATE TABLE hostile.parts (id uuid PRIMARY KEY) PARTITION BY HASH (id);
	CREATE VIEW hostile.view AS SELECT * FROM hostile.steps;
	CREATE SEQUENCE hostile.sequence;
	CREATE FUNCTION hostile.tasker_checkpoint_check_planted() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE TABLE hostile.by_trigger (call text);
	GRANT INSERT ON hostile.by_trigger TO PUBLIC;
	RESET ROLE;
	CREATE TRIGGER calls BEFORE INSERT ON hostile.by_trigger FOR EACH ROW EXECUTE FUNCTION public.call_it();
	SELECT tasker_checkpoint_attach('hostile.steps', 'id');
	GRANT SELECT ON hostile.steps TO hostile_reader, hostile_operator;
	GRANT SELECT (id, checkpoint, processed), UPDATE (checkpoint, updated_at) ON hostile.steps TO hostile_worker;
	GRANT UPDATE ON hostile.steps TO hostile_operator;
	SELECT FROM (SELECT format('GRANT EXECUTE ON FUNCTION %s TO %s', p.oid::regprocedure, role) AS statement
		FROM pg_proc p, (VALUES ('hostile_worker', 'dispatch claim heartbeat complete release yield save yield_step_event'),
			('hostile_operator', 'dispatch pause resume cancel rewind clear reset_for_retry detach attach create_table doctor stats stats_reset purge trim purge_events purge_archive'),
			('hostile_owner', 'attach create_table detach guard')) g (role, names)
		WHERE proname = ANY (SELECT 'tasker_checkpoint_' || n FROM string_to_table(names, ' ') n)
		AND pronamespace = 'public'::regnamespace) g, public.attempt(g.statement);
	SELECT tasker_checkpoint_save('$step', '1', 1), tasker_checkpoint_save('$other', '1', 1);
	SELECT tasker_checkpoint_dispatch('$step'), tasker_checkpoint_dispatch('$other');
	SELECT FROM tasker_checkpoint_claim('somebody', '1 minute', 1, '$step');
};

foreach my $preload (0, 1)
{
	my $node = PostgreSQL::Test::Cluster->new("hostile_$preload");
	$node->init;
	$node->append_conf('postgresql.conf', q{
fsync = off
log_statement = none
log_line_prefix = '%e '
max_prepared_transactions = 5
} . "statement_timeout = '${statement_timeout}s'\n" . ($preload ? "shared_preload_libraries = tasker_checkpoint\n" : ''));
	$node->start;
	my $asserts = $node->safe_psql('postgres', 'SHOW debug_assertions') eq 'on';
	$node->safe_psql('postgres', q{
		CREATE ROLE hostile_nobody; CREATE ROLE hostile_reader; CREATE ROLE hostile_worker; CREATE ROLE hostile_operator;
		CREATE ROLE hostile_owner;
		CREATE ROLE hostile_super SUPERUSER;
		-- the step's current event, for whoever calls
		CREATE FUNCTION current_event(step uuid) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER AS $$
			BEGIN
				IF to_regclass('tasker_checkpoint_events') IS NULL THEN
					RETURN NULL;
				END IF;
				RETURN (SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = step);
			END $$;
		CREATE FUNCTION documents() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
			BEGIN RETURN (SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM hostile.steps s); EXCEPTION WHEN division_by_zero THEN RETURN NULL; END $$;
		-- in a PL/pgSQL block that catches what comes, which is to change nothing
		CREATE FUNCTION attempt(call text) RETURNS text LANGUAGE plpgsql AS $$
			DECLARE
				before text := documents();
			BEGIN
				EXECUTE call;
				RETURN 'ran';
			EXCEPTION WHEN OTHERS THEN
				IF documents() IS DISTINCT FROM before THEN
					RAISE WARNING 'an error has changed a checkpoint: %', call;
				END IF;
				RAISE WARNING USING MESSAGE = 'caught', ERRCODE = SQLSTATE;
				RETURN SQLSTATE;
			END $$;
		CREATE FUNCTION call_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE NEW.call; RETURN NULL; END';
	});

	foreach my $round (sort keys %rounds)
	{
		# what is shared by sessions makes a difference to calls that succeed
		next if $preload && $round !~ /attached|strict|loose/;
		$node->safe_psql('postgres', $begin);
		my @functions = map { [ split(/\|/, $_, -1) ] } split(/\n/, $node->safe_psql('postgres', q{
			SELECT p.oid::regproc, string_agg(CASE WHEN proargnames[a.place] = 'event_id' THEN 'event'
				WHEN t.typname = '_text' THEN 'text[]' ELSE t.typname END, ' ' ORDER BY a.place), prokind
			FROM pg_proc p
			JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND extname = 'tasker_checkpoint'
			LEFT JOIN unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place) ON true
			LEFT JOIN pg_type t ON t.oid = a.type
			GROUP BY p.oid, prokind ORDER BY 1}));
		my $script = "$rounds{$round}\nSET client_min_messages = error;\nCREATE TEMPORARY TABLE temporary (id uuid PRIMARY KEY);\n";
		foreach my $i (1 .. $calls_per_round)
		{
			my ($function, $types, $kind) = @{ $functions[ $i % @functions ] };
			# direct SQL, besides
			($function, $types, $kind) = ('', pick('uuid jsonb', 'jsonb'), 'd') if rand() < 0.1;
			my @arguments = map {
				die "no values for an argument of type $_" unless $values{$_};
				my @of = @{ $values{$_} };
				push @of, "'pg_temp.temporary'" if $_ eq 'regclass';
				# how long to wait
				@of = ("'10 ms'", "'-1 s'", "'1000 years'", 'NULL') if $_ eq 'interval' && $function =~ /wait$/;
				my $value = rand() < 0.7 ? $of[0] : pick(@of);
				"$value\::" . ($_ eq 'event' ? 'uuid' : $_);
			} split(/ /, $types);
			@arguments = map { s/.*(?=::)/NULL/r } @arguments if rand() < 0.05;
			my $call = ($kind eq 'p' ? 'CALL ' : 'SELECT * FROM ') . "$function(" . join(', ', @arguments) . ')';
			if ($kind eq 'd')
			{
				$call = @arguments == 2
				  ? "UPDATE hostile.steps SET checkpoint = $arguments[1] WHERE id = $arguments[0] RETURNING checkpoint"
				  : "INSERT INTO hostile.steps (id, checkpoint) VALUES (gen_random_uuid(), $arguments[0]) RETURNING checkpoint";
			}

			my $way = $kind eq 'p' ? $ways[ int(rand(3)) ] : pick(@ways);
			# what would end the round is taken back
			$way = $ways[ 1 + int(rand(3)) ] if $function =~ /attach$|create_table$|detach$/;
			# these catch an error, after which assertions don't expect a transaction that is committing
			$way = $ways[0] if $asserts && $way == $at_commit && $function =~ /doctor$|look$/;
			$script .= 'SET ROLE hostile_' . pick(qw(nobody reader worker worker worker operator operator operator owner super super super)) . ";\n";
			$script .= $way->($call) . "\n";
			# so that there is something to do
			$script .= "RESET ROLE; UPDATE hostile.steps SET processed = NOT coalesce(processed, false) WHERE id = '$other';\n" if $i % 50 == 0;
			$script .= "RESET ROLE; SELECT FROM tasker_checkpoint_resume('$step'); SELECT FROM tasker_checkpoint_claim('somebody', '1 minute', 1, '$step');\n"
			  if $i % 20 == 0 && $round ne 'detached';
		}

		my $position = -s $node->logfile;
		my ($out, $err) = ('', '');
		IPC::Run::run([ 'psql', '-X', '-q', '-o', '/dev/null', '-v', 'VERBOSITY=sqlstate', '-f', '-', '-d', $node->connstr('postgres') ],
			'<', \$script, '>', \$out, '2>', \$err);
		my $log = slurp_file($node->logfile, $position);
		my $what = $round . ($preload ? ', preloaded' : '');

		unlike($log, qr/terminated by signal|PANIC|TRAP|server closed/, "$what: no crash");
		my @bad = grep { /^XX/ } split(/\n(?=\w{5} )/, $log);
		is(join("\n", @bad[ 0 .. ($#bad < 4 ? $#bad : 4) ]), '', "$what: no internal error");
		unlike($log, qr/leak/, "$what: nothing leaked");
		unlike($log, qr/has changed a checkpoint/, "$what: errors change no checkpoint");
		my %states;
		$states{$1}++ while $log =~ /^(\w{5}) (?:ERROR|WARNING):/mg;
		cmp_ok(scalar(keys %states), '>=', 5, "$what: errors of several kinds");
		note(join(' ', map { "$_:$states{$_}" } sort keys %states));
		# core's own limits; and nothing but what is documented
		is(join(' ', grep { !/^(00000|01000|02000|0A000|22.*|23.*|25.*|26000|34000|3F000|40.*|42.*|54.*|55000|55P03|P0001|P0002|TC.*)$/ } sort keys %states), '',
			"$what: no other kinds");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', "$what: nothing is left prepared");
	}
	$node->stop;
}

done_testing();
