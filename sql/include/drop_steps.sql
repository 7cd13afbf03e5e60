-- What steps.sql has made goes.
\set ECHO none
RESET ROLE;
DROP VIEW events;
DROP PROCEDURE lapse;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_worker, regress_tckpt_operator;
DROP ROLE regress_tckpt_worker, regress_tckpt_operator;
\set ECHO all
