# Prometheus scrapes the exporter with the queries of examples/monitoring, and has
# each metric; an alert fires; rules and dashboard name only what is there.
#
# Both daemons run on loopback; the exporter's role is the one that the README
# makes. Of the files in examples/monitoring only prometheus.yaml is changed: its
# port, and its intervals to a second. For how long alerts wait is tested by
# test/monitoring/alerts.test.yaml.

use strict;
use warnings;

use CPAN::Meta::YAML;
use File::Copy;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

delete @ENV{qw(http_proxy https_proxy)};	# all is on loopback

my $dir = 'examples/monitoring';
my $http = HTTP::Tiny->new(timeout => 10);
my %daemons;
my $seconds = 60;	# for all that daemons are to do
my $end;

# Calls until it returns something true, and returns that.
sub eventually
{
	my ($what, $call) = @_;

	$end //= time + $seconds;
	while (time < $end)
	{
		my $result = $call->();
		return $result if $result;
		foreach my $name (keys %daemons)
		{
			die "$name has ended: " . slurp_file("$PostgreSQL::Test::Utils::log_path/$name.log")
			  unless $daemons{$name}->pumpable;
		}
		select(undef, undef, undef, 0.1);
	}
	die "not within $seconds seconds: $what";
}

sub start_daemon
{
	my ($name, @command) = @_;
	my $log = "$PostgreSQL::Test::Utils::log_path/$name.log";

	$daemons{$name} = IPC::Run::start(\@command, '<', \undef, '>', $log, '2>&1');
	return;
}

sub stop_daemon
{
	my ($name) = @_;
	my $daemon = delete $daemons{$name};

	return $daemon && $daemon->kill_kill(grace => 10);
}

END
{
	my $status = $?;
	stop_daemon($_) foreach keys %daemons;
	$? = $status;
}

# A program's output, if it succeeds.
sub runs
{
	my ($what, $input, @command) = @_;
	my $out = '';

	ok(IPC::Run::run(\@command, '<', \$input, '>', \$out, '2>&1'), $what) or diag($out);
	return $out;
}

sub get
{
	my ($url) = @_;
	my $response = $http->get($url);
	return $response->{success} ? $response->{content} : undef;
}

my $queries = CPAN::Meta::YAML->read("$dir/queries.yaml")->[0];
my @metrics;
foreach my $name (sort keys %$queries)
{
	foreach my $metric (@{ $queries->{$name}{metrics} })
	{
		my ($column, $is) = %$metric;
		push @metrics, "${name}_$column" if $is->{usage} ne 'LABEL';
	}
}

my $node = PostgreSQL::Test::Cluster->new('monitoring');
$node->init;
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION tasker_checkpoint');

# Runs all queries: how many rows each has, or its error.
sub run_queries
{
	my ($database) = @_;
	return join ', ', map {
		my ($ret, $out, $err) = $node->psql($database, $queries->{$_}{query});
		s/^tasker_checkpoint_?//r . ' ' . ($ret == 0 ? scalar(split(/\n/, $out)) : $err);
	} sort keys %$queries;
}

is(run_queries('postgres'),
	' 1, dispatched 7, health 0, notify 1, progress 1, stats 0, stats_refused 0, table 2',
	'without preload and without a table no query fails');

# A partitioned table with other names, and a schema of the extension's own.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{
	CREATE SCHEMA "Ext";
	ALTER DATABASE other SET search_path = "Ext";
	CREATE EXTENSION tasker_checkpoint SCHEMA "Ext";
	CREATE TABLE public."My Jobs" ("Id" uuid PRIMARY KEY) PARTITION BY HASH ("Id");
	CREATE TABLE public.jobs_0 PARTITION OF public."My Jobs" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE public.jobs_1 PARTITION OF public."My Jobs" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	SELECT "Ext".tasker_checkpoint_attach('public."My Jobs"', 'Id');
	INSERT INTO public."My Jobs" SELECT md5(n::text)::uuid FROM generate_series(1, 100) n;
	SELECT "Ext".tasker_checkpoint_dispatch("Id") FROM public."My Jobs";
	SELECT "Ext".tasker_checkpoint_yield("Id", '10', 10) FROM public."My Jobs";
});
is(run_queries('other') =~ s/health \d+/health/r,
	' 1, dispatched 7, health, notify 1, progress 1, stats 0, stats_refused 0, table 3',
	'nor with a partitioned table, whose partitions are added up');
is($node->safe_psql('other', qq{
	SELECT size_bytes = pg_total_relation_size('public.jobs_0') + pg_total_relation_size('public.jobs_1')
	FROM ($queries->{tasker_checkpoint_table}{query}) q WHERE relation = 'steps'}), 't', 'its size is theirs');
is($node->safe_psql('other', "SELECT steps FROM ($queries->{tasker_checkpoint_dispatched}{query}) q WHERE state = 'waiting'"),
	'100', 'its steps are counted');

$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'tasker_checkpoint'});
$node->restart;
$node->safe_psql('postgres', slurp_file('examples/steps.sql')
	  . 'SELECT tasker_checkpoint_attach(); INSERT INTO tasker.tasks VALUES (md5(\'task\')::uuid);');

# The README's role.
my ($role_sql) = slurp_file("$dir/README.md") =~ /^```sql\n(.*?)^```/ms;
runs('grants.sql', '', 'psql', '-X', '-q', '-v', 'reader=prometheus', '-f', 'examples/grants.sql',
	'-d', $node->connstr('postgres'));
$node->safe_psql('postgres', $role_sql);

# Steps in each state, as many as it says, and what the counters count.
my %steps = (cancelled => 1, claimed => 2, delayed => 1, expired => 1, parked => 2, paused => 3, waiting => 4, 'in another queue' => 2);
my $steps_values = join ', ', map { "('$_', $steps{$_})" } sort keys %steps;
$node->psql('postgres', qq{
	CREATE TEMP TABLE s AS
		SELECT state, state || n AS name, md5(state || n)::uuid AS step
		FROM (VALUES $steps_values) v (state, times), generate_series(1, times) n;
	INSERT INTO tasker.named_steps SELECT step, name FROM s;
	INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, created_at, updated_at)
		SELECT step, md5('task')::uuid, step, now(), now() FROM s;
	SELECT tasker_checkpoint_dispatch(step, CASE state WHEN 'in another queue' THEN 'another' END) FROM s WHERE state <> 'paused';
	SELECT tasker_checkpoint_pause(step) FROM s WHERE state = 'paused';
	SELECT tasker_checkpoint_cancel(step) FROM s WHERE state = 'cancelled';
	SELECT tasker_checkpoint_release(event_id, '1 hour')
		FROM s, tasker_checkpoint_claim('w', step_uuid => step) WHERE state = 'delayed';
	SET tasker_checkpoint.max_deliveries = 1;
	SELECT FROM s, tasker_checkpoint_claim('w', '1 microsecond', step_uuid => step) WHERE state IN ('expired', 'parked');
	SELECT FROM s, tasker_checkpoint_claim('w', step_uuid => step) WHERE state = 'parked';
	CREATE TEMP TABLE claimed AS
		SELECT step_uuid, event_id FROM s, tasker_checkpoint_claim('w', '1 hour', step_uuid => step) WHERE state = 'claimed';
	SELECT tasker_checkpoint_save(step_uuid, '100', 100, NULL, event_id) FROM claimed;
	SELECT tasker_checkpoint_save(step_uuid, '200', 200, NULL, event_id) FROM claimed;
	SELECT tasker_checkpoint_save(step_uuid, '150', 150, NULL, event_id) FROM claimed;
	SELECT tasker_checkpoint_save(step_uuid, '300', 300) FROM claimed;
	SELECT tasker_checkpoint_save(step_uuid, '300', 300, NULL, gen_random_uuid()) FROM claimed;
}, on_error_stop => 0);

# What is not running yet: rules, configuration, and the times that alerts wait.
runs('the rules are valid', '', 'promtool', 'check', 'rules', "$dir/alerts.yaml");
runs('the configuration is valid', '', 'promtool', 'check', 'config', "$dir/prometheus.yaml");
runs('the alerts fire when they should', '', 'promtool', 'test', 'rules', 'test/monitoring/alerts.test.yaml');

# The exporter.
my $log_offset = -s $node->logfile;
my $exporter = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
my $prometheus = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
{
	local $ENV{DATA_SOURCE_NAME} = 'user=prometheus dbname=postgres sslmode=disable host='
	  . $node->host . ' port=' . $node->port;
	start_daemon('exporter', 'prometheus-postgres-exporter', "--web.listen-address=$exporter",
		'--disable-default-metrics', '--disable-settings-metrics', "--extend.query-path=$dir/queries.yaml");
}
my $scraped = eventually('the exporter is connected', sub {
	my $text = get("http://$exporter/metrics") // '';
	return $text =~ /^pg_up 1$/m && $text;
});
my $ours = join '', $scraped =~ /^((?:# \w+ )?tasker_checkpoint.*\n)/mg;
is(runs('promtool reads the metrics', $ours, 'promtool', 'check', 'metrics'), '', 'and finds fault with none');

# What is promised of them (docs/stability.md): names, with their units, kinds and labels.
my %type = $ours =~ /^# TYPE (\S+) (\S+)$/mg;
my %labels;
while ($ours =~ /^(\w+)\{(.*)\} /mg)
{
	my ($metric, $pairs) = ($1, $2);
	$labels{$metric} = join ' ', sort grep { $_ ne 'server' } $pairs =~ /(\w+)="/g;
}
is(join('', map { s/^tasker_checkpoint_//r . " $type{$_}, $labels{$_}\n" } sort keys %type), q{dispatched_steps gauge, datname queue state
health_findings gauge, datname finding queue severity
highest_deliveries gauge, datname queue
notify_queue_usage_ratio gauge, datname
oldest_expired_seconds gauge, datname queue
oldest_waiting_seconds gauge, datname queue
progress_items gauge, datname queue
progress_items_per_second gauge, datname queue
progress_newest_checkpoint_age_seconds gauge, datname queue
progress_oldest_checkpoint_age_seconds gauge, datname queue
stats_claims_total counter, datname
stats_expired_claims_total counter, datname
stats_fenced_total counter, datname
stats_hot_checkpoints_total counter, datname
stats_notifications_batched_total counter, datname
stats_notifications_lost_total counter, datname
stats_notifications_sent_total counter, datname
stats_parked_total counter, datname
stats_refused_total counter, datname sqlstate
stats_replays_total counter, datname
stats_reset_timestamp_seconds gauge, datname
stats_saves_total counter, datname
stats_stale_writes_total counter, datname
stats_truncated_entries_total counter, datname
stats_yields_total counter, datname
table_dead_rows gauge, datname relation
table_hot_updates_total counter, datname relation
table_live_rows gauge, datname relation
table_size_bytes gauge, datname relation
table_updates_total counter, datname relation
}, 'names, kinds and labels are as promised');

# Prometheus.
my $work = PostgreSQL::Test::Utils::tempdir();
my $config = slurp_file("$dir/prometheus.yaml");
is($config =~ s/_interval: \K15s/1s/g, 2, 'intervals are set for the test');
is($config =~ s/localhost:9187/$exporter/, 1, 'and so is the port');
append_to_file("$work/prometheus.yaml", $config);
copy("$dir/alerts.yaml", $work) or die $!;
start_daemon('prometheus', 'prometheus', "--config.file=$work/prometheus.yaml", "--storage.tsdb.path=$work/data",
	"--web.listen-address=$prometheus");

# The answer of Prometheus' API.
sub api
{
	my ($what, %parameters) = @_;
	my $url = "http://$prometheus/api/v1/$what?" . $http->www_form_urlencode(\%parameters);
	my $answer = get($url) or return;

	return decode_json($answer)->{data};
}

# The values of a PromQL expression, by the labels that are asked for.
sub values_of
{
	my ($expr, @labels) = @_;
	my $data = api('query', query => $expr) or return;

	return join ', ', sort map { my $of = $_; join ' ', (map { $of->{metric}{$_} } @labels), $of->{value}[1] } @{ $data->{result} };
}

eventually('Prometheus has scraped twice', sub {
	return (values_of('sum(count_over_time(up{job="tasker_checkpoint"}[1h]))') || 0) >= 2;
});
my ($target) = @{ api('targets')->{activeTargets} };
is($target->{health}, 'up', 'the target is up');
isnt(values_of("count($_)") // '', '', "Prometheus has $_") foreach @metrics;

# Values.
my $elsewhere = delete $steps{'in another queue'};
is(values_of('tasker_checkpoint_dispatched_steps{queue="default"}', 'state'),
	join(', ', map { "$_ $steps{$_}" } sort keys %steps), 'steps by state');
is(values_of('tasker_checkpoint_dispatched_steps{queue!="default"} > 0', 'queue', 'state'), "another waiting $elsewhere", 'of each queue');
is(values_of('{__name__=~"tasker_checkpoint_stats_.*_total", __name__!~".*_(sent|batched|refused)_total"} > 0', '__name__')
	  =~ s/tasker_checkpoint_stats_(\w+)_total/$1/gr,
	'claims 6, fenced 2, parked 2, saves 4', 'counters');
is(values_of('tasker_checkpoint_stats_refused_total', 'sqlstate'), '23514 0, 54000 0, 55000 0, TC001 1, TC003 0', 'what was refused');
is(values_of('tasker_checkpoint_progress_items', 'queue'), 'another 0, default 400', 'items');
cmp_ok(values_of('tasker_checkpoint_progress_items_per_second{queue="default"}'), '>', 0, 'items a second');
is(values_of('tasker_checkpoint_health_findings{finding="parked"}', 'queue'), 'default 2', 'findings');
is(values_of('tasker_checkpoint_table_size_bytes > bool 0', 'relation'), 'archive 1, events 1, steps 1', 'tables');
is(values_of('tasker_checkpoint_highest_deliveries', 'queue'), 'another 0, default 1', 'deliveries');
cmp_ok(values_of("$_\{queue=\"default\"}"), '>', 0, $_)
  foreach qw(tasker_checkpoint_oldest_waiting_seconds tasker_checkpoint_oldest_expired_seconds);
is(values_of('time() - tasker_checkpoint_stats_reset_timestamp_seconds < bool 3600'), '1', 'counters begin with the server');

# A label has few values: none is by step, task or worker.
my %known = map { $_ => 1 } qw(__name__ instance job server datname queue state finding severity sqlstate relation);
my $series = api('series', 'match[]' => '{__name__=~"tasker_checkpoint.*"}');
is(join(' ', grep { !$known{$_} } map { keys %$_ } @$series), '', 'labels are those that the README names');
cmp_ok(scalar(@$series), '<', 100, 'there are few time series');

# The alerts. Parked steps need no wait.
my $alert = eventually('an alert fires', sub {
	my $alerts = api('alerts') or return;
	return (grep { $_->{labels}{alertname} eq 'TaskerCheckpointParked' && $_->{state} eq 'firing' } @{ $alerts->{alerts} })[0];
});
is($alert->{annotations}{summary}, '2 steps of queue default of postgres are parked', 'an alert fires');

# Each metric that an expression names is one that Prometheus has. Of an
# expression without its texts, label matchers, ranges and lists of labels, all
# words are metrics but functions and operators.
my %there = map { $_ => 1 } @{ api('label/__name__/values') };
sub names_in
{
	my ($expr) = @_;

	$expr =~ s/"(?:[^"\\]|\\.)*"//g;
	$expr =~ s/\{[^}]*\}|\[[^]]*\]//g;
	$expr =~ s/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)//g;
	return grep { !/^(?:and|or|unless|bool|offset)$/ } $expr =~ /(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\w|\s*\()/g;
}
is(join(' ', names_in('sum by (a) (rate(b{c="d"}[5m])) / (e > 0) and on (f) g offset 1h unless 0.5 * max(h)')),
	'b e g h', 'the names of metrics are found');

sub check_names
{
	my ($where, @exprs) = @_;
	my @names = map { names_in($_) } @exprs;

	cmp_ok(scalar(@names), '>=', scalar(@exprs), "$where: names are found");
	is(join(' ', grep { !$there{$_} } @names), '', "$where: all names are of metrics that exist");
	return map { $_ => 1 } @names;
}

my @rules = map { @{ $_->{rules} } } @{ api('rules')->{groups} };
my %named = check_names('alerts', map { $_->{query} } @rules);
is(join(' ', map { $_->{name} } grep { $_->{health} ne 'ok' } @rules), '', 'alerts: all can be evaluated');
is(join(' ', map { $_->{name} } grep { !$_->{annotations}{runbook_url} || !$_->{annotations}{description} || !$_->{labels}{severity} } @rules),
	'', 'alerts: each has its severity, and says what to do');

# The dashboard. A reader chooses the data source and the variables.
my $dashboard = decode_json(slurp_file("$dir/dashboard.json"));
my @panels = grep { $_->{type} ne 'row' } map { $_, @{ $_->{panels} // [] } } @{ $dashboard->{panels} };
my @exprs = grep { defined } map({ $_->{expr} } map({ @{ $_->{targets} } } @panels), @{ $dashboard->{annotations}{list} });
%named = (%named, check_names('dashboard', @exprs));
my @queried = map { $_->{query}{query} =~ /^label_values\((\w+)/ } grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} };
is(join(' ', grep { !$there{$_} } @queried) . @queried, '3', 'dashboard: variables are of metrics that exist');
is(join(' ', grep { !$named{$_} } @metrics), '', 'each metric is in the dashboard or in an alert');
foreach my $expr (@exprs)
{
	my $run = $expr =~ s/\$(?:instance|datname|queue)/.*/gr =~ s/\$__rate_interval/1m/gr;
	ok(defined values_of($run), "dashboard: runs: $expr");
}
is(join(' ', map { $_->{title} } grep { ($_->{datasource}{uid} // '') ne '${datasource}' } @panels), '',
	'dashboard: the data source can be chosen');
my %ids = map { $_->{id} => 1 } @{ $dashboard->{panels} };
is(scalar(keys %ids), scalar(@{ $dashboard->{panels} }), 'dashboard: panels have ids of their own');

# The README's rights are enough, but for what a later exporter has of its own: WAL.
unlike(slurp_file($node->logfile, $log_offset), qr/(?:ERROR|FATAL):(?! +permission denied for function pg_ls_waldir)/,
	'no query of the exporter has failed');

# Without the exporter its alert is on its way.
stop_daemon('exporter');
eventually('the missing exporter is noticed', sub {
	my $alerts = api('alerts') or return;
	return grep { $_->{labels}{alertname} eq 'TaskerCheckpointExporterDown' && $_->{state} eq 'pending' } @{ $alerts->{alerts} };
});
pass('an exporter that is gone is noticed');

stop_daemon('prometheus');
$node->stop;
done_testing();
