-- The doctor finds settings that contradict each other, and sets them where they were set
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (id uuid PRIMARY KEY) WITH (fillfactor = 70);
SELECT tasker_checkpoint_attach('jobs', 'id');
RESET client_min_messages;
CREATE VIEW findings AS
SELECT status, found, replace(statement, quote_ident(current_database()), 'DATABASE_NAME') AS shown, statement
FROM tasker_checkpoint_doctor() WHERE status <> 'ok' AND "check" = 'settings'
ORDER BY statement COLLATE "C";

SELECT status, found, shown FROM findings;
-- each of them
SET tasker_checkpoint.cursor_limit = 11;
SET tasker_checkpoint.results_limit = 0;
SET tasker_checkpoint.history_limit = 0;
SET tasker_checkpoint.enforce = warning;
SET tasker_checkpoint.max_lease = '59s';
SET tasker_checkpoint.notify = off;
SELECT status, regexp_replace(found, ', and the notifier.*', '.') AS found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
SET tasker_checkpoint.results_limit = '200kB';
SET tasker_checkpoint.results_warning = '200kB';
SET tasker_checkpoint.history_size = '64kB';
SET tasker_checkpoint.cursor_limit = '100kB';
SELECT status, found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
SET tasker_checkpoint.cursor_limit = -1;
SELECT status, found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
SET tasker_checkpoint.history_limit = -1;
SET tasker_checkpoint.history_size = -1;
SET tasker_checkpoint.cursor_limit = -1;
SELECT status, found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
RESET ALL;
SET tasker_checkpoint.history_size = 0;
SELECT status, found, shown FROM findings;
SELECT statement FROM findings \gexec
SELECT status, found, shown FROM findings;
-- not: the archive keeps what the history does not; a warning that is off; limits that are none
SET tasker_checkpoint.history_limit = 0;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.results_limit = 12;
SET tasker_checkpoint.results_warning = 0;
SET tasker_checkpoint.max_lease = '60s';
SELECT status, found, shown FROM findings;
RESET ALL;

-- where it is set: for the database, or for another role
SELECT current_database() AS db \gset
CREATE ROLE "regress Tckpt";
ALTER DATABASE :"db" SET tasker_checkpoint.max_lease = '1s';
ALTER ROLE "regress Tckpt" SET tasker_checkpoint.enforce = warning;
ALTER ROLE "regress Tckpt" IN DATABASE :"db" SET tasker_checkpoint.enforce = warning;
ALTER ROLE "regress Tckpt" SET tasker_checkpoint.max_lease = '1s';
\c -
SELECT status, found, shown FROM findings;
-- what these statements say depends on the name of the database
\set ECHO none
SELECT statement FROM findings \gexec
\set ECHO all
\c -
SELECT status, found, shown FROM findings;
-- as it was, also where that is not what the server has
ALTER DATABASE :"db" SET tasker_checkpoint.max_lease = '1h';

DROP VIEW findings;
DROP TABLE jobs;
DROP EXTENSION tasker_checkpoint;
DROP ROLE "regress Tckpt";
