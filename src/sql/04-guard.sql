--
-- The guard
--

CREATE FUNCTION tasker_checkpoint_guard()
RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_guard() IS
'trigger that owns the checkpoint column of the steps table: keeps history, cuts it, enforces shape and limits for every writer, and the fence; made by tasker_checkpoint_attach(); raises 23514, 39P01, 54000, 55000, TC001, TC002, TC003';

CREATE FUNCTION tasker_checkpoint_forget()
RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_forget() IS
'trigger by which a deleted step takes along what is dispatched, claimed, paused or cancelled of it, so that another row that gets the key begins anew; a row that moves to another partition keeps it; made by tasker_checkpoint_attach(); raises 39P01';
