-- The databases that make installcheck runs in. They hold what the expected output
-- takes for granted, whatever an operator has set for the whole server: encoding and
-- locale, the defaults of those settings that say how statements behave and how values
-- look, and our own limits.
\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;
LOAD 'tasker_checkpoint';
LOAD 'plpgsql';

SELECT format('DROP DATABASE IF EXISTS %I', name),
	format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LOCALE_PROVIDER libc LOCALE %L', name, 'UTF8', 'C')
FROM (VALUES ('contrib_regression'), ('isolation_regression')) d (name) \gexec

-- A setting that is a list of names is not quoted as a whole.
SELECT format(CASE WHEN s.name = 'search_path' THEN 'ALTER DATABASE %I SET %s = %s' ELSE 'ALTER DATABASE %I SET %s = %L' END,
	d.name, s.name, CASE WHEN s.name LIKE 'lc\_%' THEN 'C' ELSE s.boot_val END)
FROM pg_settings s, (VALUES ('contrib_regression'), ('isolation_regression')) d (name)
WHERE s.context IN ('user', 'superuser') AND s.reset_val IS DISTINCT FROM s.boot_val AND s.boot_val IS NOT NULL
	AND (s.name LIKE 'tasker\_checkpoint.%' OR s.name LIKE 'plpgsql.%' OR s.category LIKE 'Client Connection Defaults / %'
		OR s.category LIKE 'Query Tuning / %' OR s.category LIKE 'Version and Platform Compatibility / %')
	AND s.name NOT LIKE 'transaction\_%' AND s.name NOT LIKE '%\_libraries'
	AND s.name NOT IN ('client_encoding', 'default_text_search_config', 'dynamic_library_path', 'extension_control_path', 'temp_tablespaces')
ORDER BY s.name, d.name \gexec
