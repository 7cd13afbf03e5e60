# A standby reads checkpoints and what there is about them, and refuses to write;
# once promoted it goes on with the sequence. A read-only transaction refuses in
# the same way.

use strict;
use warnings;

use CPAN::Meta::YAML;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
# what the doctor says of compression is the same on every version
default_toast_compression = pglz
log_statement = none
shared_preload_libraries = tasker_checkpoint
});
$primary->start;

my $step = '00000000-0000-0000-0000-000000000001';
$primary->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps VALUES ('$step');
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_yield('$step', to_jsonb(n), n, '{"sum": 1}') FROM generate_series(1, 3) n;
});

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# replay waits for who reads, however long that takes
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$standby->start;

my %writers = (
	'tasker_checkpoint_yield' => "SELECT tasker_checkpoint_yield('$step', '9', 9)",
	'tasker_checkpoint_save' => "SELECT tasker_checkpoint_save('$step', '9', 9)",
	'tasker_checkpoint_clear' => "SELECT tasker_checkpoint_clear('$step')",
	'tasker_checkpoint_reset_for_retry' => "SELECT tasker_checkpoint_reset_for_retry('$step')",
	'tasker_checkpoint_create_table' => "SELECT tasker_checkpoint_create_table('jobs')");

sub refused
{
	my ($node, $before, $where) = @_;

	foreach my $name (sort keys %writers)
	{
		my ($ret, $stdout, $stderr) =
		  $node->psql('postgres', "\\set VERBOSITY verbose\n$before $writers{$name};");
		like($stderr, qr/^(psql:\S+ )?ERROR:  25006: cannot execute $name\(\)/m, "$name is refused $where");
	}
}

# one line with what every reader returns
my $read = qq{
	SELECT l.has_checkpoint, l.cursor, l.items_processed, l.accumulated_results, l.sequence,
		tasker_checkpoint_exists('$step'), tasker_checkpoint_cursor('$step'),
		tasker_checkpoint_items_processed('$step'), tasker_checkpoint_accumulated_results('$step'),
		tasker_checkpoint_table()
	FROM tasker_checkpoint_load('$step') l};
my $document = "SELECT tasker_checkpoint_get('$step')";

$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $read),
	't|3|3|{"sum": 1}|3|t|3|3|{"sum": 1}|tasker_workflow_steps', 'a standby reads the checkpoint');
is($standby->safe_psql('postgres', $document), $primary->safe_psql('postgres', $document),
	'its document is the same');

$primary->safe_psql('postgres', "SELECT tasker_checkpoint_yield('$step', '4', 4, '{\"sum\": 2}')");
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT sequence FROM tasker_checkpoint_load('$step')"), '4',
	'it sees a new checkpoint');

# What else can be asked: views, functions, dry runs. One step is paused.
$primary->safe_psql('postgres', "SELECT tasker_checkpoint_pause('$step')");
$primary->wait_for_catchup($standby);
my %asked = (
	'dispatched' => 'SELECT step_uuid, directive, has_event FROM tasker_checkpoint_dispatched()',
	'history' => "SELECT * FROM tasker_checkpoint_history('$step')",
	'progress, the view' => 'SELECT items_processed, sequence, state FROM tasker_checkpoint_progress',
	'progress of a step' => "SELECT items_processed, sequence, state FROM tasker_checkpoint_progress('$step')",
	'health' => 'SELECT finding, figure, detail FROM tasker_checkpoint_health(long_cursor => 1)',
	'queues' => 'SELECT queue, waiting, paused FROM tasker_checkpoint_queues',
	'a dry run of purge' => "SELECT tasker_checkpoint_purge('0', dry_run => true)",
	'a dry run of trim' => 'SELECT tasker_checkpoint_trim(1, dry_run => true)',
	'a dry run of purge_events' => 'SELECT tasker_checkpoint_purge_events(dry_run => true)',
	'a dry run of purge_archive' => "SELECT tasker_checkpoint_purge_archive('0', dry_run => true)");
foreach my $name (sort keys %asked)
{
	my $answer = $standby->safe_psql('postgres', $asked{$name});
	isnt($answer, '', "a standby answers: $name");
	is($answer, $primary->safe_psql('postgres', $asked{$name}), 'as the primary does');
}
is($standby->safe_psql('postgres', 'SELECT yields >= 0 FROM tasker_checkpoint_stats()'), 't', 'it counts for itself');

# What the exporter asks, as it stands; what is counted is the standby's own.
my $queries = CPAN::Meta::YAML->read('examples/monitoring/queries.yaml')->[0];
foreach my $name (sort keys %$queries)
{
	my ($ret, $answer, $error) = $standby->psql('postgres', $queries->{$name}{query});
	is($error, '', "the exporter is answered there: $name");
	is($answer, $primary->safe_psql('postgres', $queries->{$name}{query}), 'as by the primary')
	  if $name =~ /_(dispatched|health)$/;
}
is($standby->safe_psql('postgres', q{SELECT "check", status FROM tasker_checkpoint_doctor() WHERE status <> 'ok' AND "check" <> 'bloat'}),
	"fillfactor|notice\ncompression|notice\nreplication|notice", 'the doctor looks at all, and says what it is');
$primary->safe_psql('postgres', "SELECT tasker_checkpoint_resume('$step')");

refused($standby, '', 'on a standby');
refused($primary, 'BEGIN READ ONLY;', 'in a read-only transaction');
is($primary->safe_psql('postgres', "BEGIN READ ONLY; $read"),
	't|4|4|{"sum": 2}|4|t|4|4|{"sum": 2}|tasker_workflow_steps', 'but readers work there');

my $before = $standby->safe_psql('postgres', $document);
$primary->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is($standby->safe_psql('postgres', $document), $before, 'promotion leaves the checkpoint as it is');
is($standby->safe_psql('postgres', "SELECT sequence FROM tasker_checkpoint_yield('$step', '5', 5)"), '5',
	'the promoted server goes on with the sequence');
is($standby->safe_psql('postgres', qq{
		SELECT jsonb_path_query_array(c, '\$.history[*].cursor'),
			c ->> 'timestamp' > (c -> 'history' -> -2 ->> 'timestamp') COLLATE "C"
		FROM tasker_checkpoint_get('$step') c}),
	'[1, 2, 3, 4, 5]|t', 'and appends to the history');

$standby->stop;
done_testing();
