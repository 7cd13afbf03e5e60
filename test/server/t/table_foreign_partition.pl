# A partition of the steps table that is a foreign table, which it may become after the
# table was attached, has the triggers, too: they do not look into it for rows.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('foreign');
$node->init;
$node->start;
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', qq{
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE EXTENSION postgres_fdw;
ALTER DATABASE postgres SET tasker_checkpoint.archive_history = on;
CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER itself;
CREATE TABLE remote (id uuid, processed boolean, checkpoint jsonb);
CREATE TABLE steps (id uuid NOT NULL, processed boolean, checkpoint jsonb) PARTITION BY LIST (id);
CREATE TABLE near PARTITION OF steps FOR VALUES IN ('00000000-0000-0000-0000-000000000001');
CREATE UNIQUE INDEX steps_key ON steps (id);
SELECT tasker_checkpoint_attach('steps', 'id');
DROP INDEX steps_key;
CREATE FOREIGN TABLE far PARTITION OF steps FOR VALUES IN ('00000000-0000-0000-0000-000000000002')
	SERVER itself OPTIONS (table_name 'remote');
});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM pg_trigger WHERE tgrelid = 'far'::regclass AND tgname LIKE 'zz\_tasker%'}),
	'2', 'the partition has both triggers');

is($node->safe_psql('postgres', q{
	INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
	UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}';
	UPDATE steps SET checkpoint = NULL;
	SELECT count(*) FROM tasker_checkpoint_archive}),
	'1', 'the archive has a row');
is($node->safe_psql('postgres', q{
	INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', false, '{"cursor": 2, "items_processed": 2}');
	SELECT checkpoint #>> '{history,0,cursor}' FROM remote}),
	'2', 'a row that goes there is composed');
is($node->safe_psql('postgres', q{
	SELECT tasker_checkpoint_pause('00000000-0000-0000-0000-000000000002');
	DELETE FROM steps WHERE id = '00000000-0000-0000-0000-000000000002';
	SELECT count(*) FROM tasker_checkpoint_events}),
	"t\n0", 'one that is deleted there takes its event along');

done_testing();
