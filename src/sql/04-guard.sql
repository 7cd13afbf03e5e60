--
-- The guard
--

CREATE FUNCTION tasker_checkpoint_guard()
RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_guard() IS
'trigger that owns the checkpoint column of the steps table: keeps history, cuts it, enforces shape and limits for every writer, and the fence; made by tasker_checkpoint_attach(); raises 23514, 39P01, 54000, 55000, TC001, TC002, TC003';
