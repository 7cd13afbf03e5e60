/* tasker_checkpoint 1.0.0 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tasker_checkpoint" to load this file. \quit
