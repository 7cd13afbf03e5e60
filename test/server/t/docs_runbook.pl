# What docs/operations.md says to do where one session alone cannot make the
# trouble: a worker that hangs, a second guard, an extension that was dropped.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $runbook = slurp_file('docs/operations.md');

# The n-th SQL block of a section, counted from 0.
sub block
{
	my ($heading, $n) = @_;
	my ($section) = $runbook =~ /^### \Q$heading\E\n(.*?)(?=^##|\z)/ms or die "no section $heading";
	my @blocks = $section =~ /^```sql\n(.*?)^```/msg;
	return $blocks[$n] // die "no block $n in $heading";
}

my $node = PostgreSQL::Test::Cluster->new('runbook');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nmax_prepared_transactions = 2");
$node->start;
$node->safe_psql('postgres', slurp_file('examples/steps.sql'));
$node->safe_psql('postgres', slurp_file('examples/incidents.sql'));
my $step = '00000000-0000-0000-0000-000000000006';
my $set = "\\set step $step\n";

# A worker hangs after a save, since long: it is found, and ended.
$node->safe_psql('postgres', 'CREATE ROLE night_batch SUPERUSER LOGIN');
my $worker = $node->background_psql('postgres', extra_params => [ '-U', 'night_batch' ], on_error_stop => 0);
$worker->query_safe("BEGIN; SELECT sequence FROM tasker_checkpoint_save('$step', '4200', 4200);");
my ($find, $check, $end) = map { block('Locked', $_) } 0 .. 2;
is($node->safe_psql('postgres', $set . $check), 't', 'the step is locked');
$_ =~ s/interval '1 minute'|interval '10 minutes'/interval '0'/ or die 'no time' for $find, $end;
like($node->safe_psql('postgres', $find), qr/^\d+\|night_batch\|[^\n]*\|idle in transaction\|[^\n]*\|\{\}$/m,
	'the worker that hangs is found');
like($node->safe_psql('postgres', $end), qr/^\d+\|t$/, 'and ended');
ok($node->poll_query_until('postgres', $set . $check, 'f'), 'the step is free');
eval { $worker->quit };

$node->safe_psql('postgres', "BEGIN; SELECT sequence FROM tasker_checkpoint_save('$step', '4200', 4200); PREPARE TRANSACTION 'forgotten'");
is($node->safe_psql('postgres', $set . $check), 't', 'a prepared transaction locks it');
like($node->safe_psql('postgres', $find), qr/^forgotten\|/m, 'and is found');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'forgotten'");

# A copy of the table with a guard of its own
$node->safe_psql('postgres', q{
	CREATE TABLE copy (LIKE tasker.workflow_steps INCLUDING ALL);
	CREATE TRIGGER zz_tasker_checkpoint_guard BEFORE INSERT OR UPDATE OF workflow_step_uuid, checkpoint ON copy
	FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
	ALTER TRIGGER zz_tasker_checkpoint_guard ON copy DEPENDS ON EXTENSION tasker_checkpoint;
});
my ($ret, $out, $err) = $node->psql('postgres', 'SELECT * FROM tasker_checkpoint_health');
like($err, qr/two steps tables are attached/, 'with two guards nothing works');
like($node->safe_psql('postgres', block('Two guards', 0)), qr/^copy\|.*^tasker\.workflow_steps\||^tasker\.workflow_steps\|.*^copy\|/ms, 'both are found');
$node->safe_psql('postgres', 'DROP TRIGGER zz_tasker_checkpoint_guard ON copy');
is($node->safe_psql('postgres', block('Two guards', 1)), 'tasker.workflow_steps', 'without the second it works again');

# The extension is dropped, and comes back
my $before = $node->safe_psql('postgres', "SELECT tasker_checkpoint_get('$step')");
$node->safe_psql('postgres', 'DROP EXTENSION tasker_checkpoint');
my ($look, $attach, $again) = map { block('After DROP EXTENSION or detach', $_) } 0 .. 2;
is($node->safe_psql('postgres', $look), '|0', 'that it is gone is seen');
$node->safe_psql('postgres', 'CREATE EXTENSION tasker_checkpoint');
is($node->safe_psql('postgres', $attach), 'tasker.workflow_steps', 'it is attached');
like($node->safe_psql('postgres', $again), qr/^(?:\S+\|t\n?){10}$/, 'each step with a checkpoint is dispatched');
is($node->safe_psql('postgres', $look), '1.0.0|1', 'the guard is there');
is($node->safe_psql('postgres', "SELECT tasker_checkpoint_get('$step')"), $before, 'and the checkpoint');
is($node->safe_psql('postgres', "SELECT step_uuid, items_processed FROM tasker_checkpoint_claim('one', '1 minute', 1, '$step')"),
	"$step|4000", 'which a worker resumes at');

$node->stop;
done_testing();
