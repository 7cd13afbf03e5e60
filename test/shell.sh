#!/bin/sh
# sh test/shell.sh [COMMAND...]
#
# For somebody at work: a private server with the extension built for a debugger, and
# psql in it, or the command. Says how to get there from another terminal. The server
# goes when the command ends; KEEP=1 and what else lib.sh explains holds here, too.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
[ $# -gt 0 ] || set -- psql postgres

tc_begin
tc_need postgresql-@ postgresql-server-dev-@ make gcc
tc_private
# the distribution's flags want code to be optimized, and warn
tc_flags='-O0 -ggdb3 -Wno-cpp'
{ tc_build gcc && tc_make install; } || exit 1
tc_start "shared_preload_libraries = 'tasker_checkpoint'"
tc_user env PGOPTIONS='-c client_min_messages=error' psql -Xq -f "$tc_tree/examples/steps.sql" -c 'CREATE EXTENSION tasker_checkpoint' postgres
echo "psql -h $tc_home -U postgres postgres"
tc_user env TERM="${TERM:-dumb}" "$@"
