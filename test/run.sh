#!/bin/sh
# sh test/run.sh [SUITE [NAME...]]
#
# A suite is one of regress, isolation, stock, parallel, outside, pgtap, server,
# monitoring, workers, packages, model and proof.
#
# Installs what is missing (apt, as root or by sudo), builds with clang and gcc,
# and runs the test suites, or those tests named, against a private server that
# is removed afterwards. Nothing is installed into the system's PostgreSQL.
#
# The last line counts tests: a file of pg_regress, a spec of the isolation
# tester, an assertion of a TAP test. A suite that could not run counts as one
# failed. Not 0 is returned if any failed.
#
# WATCH=valgrind and WATCH=ubsan are explained in deep.sh.
#
# ROUNDS and SEED reach the server tests that go by them (server reliability_crash).
# Lines "figure KEY: TEXT" of tests are printed, for test/reliability.sh.
#
# SUITES="regress server" runs these, KEEP=1 keeps the work directory with results
# and logs. PG_CONFIG, PG_MAJOR and TMPDIR are explained in lib.sh.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

passed=0
failed=0

# Counts a suite and prints its closing line.
tally()
{
	passed=$((passed + $2))
	failed=$((failed + $3))
	[ ! -e "$tc_work/$1.out" ] || sed -n 's/.*# \(figure [a-z_]*: .*\)/\1/p' "$tc_work/$1.out"
	echo "$1: $4"
}

# What went wrong, as far as a screen or two can show it.
show()
{
	suite=$1
	shift
	grep -vE '^(ok |test .* \.\.\. ok|make|SET$|[A-Z]+ DATABASE$|=+)' "$tc_work/$suite.out" |
		tail -n 40
	for file; do
		if [ -s "$file" ]; then
			echo "--- $file"
			case $file in
				*.diffs) head -n 150 "$file" ;;
				*) tail -n 40 "$file" ;;
			esac
		fi
	done
	case $suite in
		server | monitoring) ;;		# these keep their own
		*)
			echo "--- the server's log"
			tail -n 15 "$tc_home/server.log"
			;;
	esac
}

# How make installcheck is called.
installcheck='make -s -C .'

# pg_regress closes with "All 12 tests passed." or "1 of 12 tests failed.", as
# TAP comments since PostgreSQL 16.
pg_regress_suite()
{
	suite=$1
	diffs=$2
	shift 2
	status=0
	# shellcheck disable=SC2086	# words without blanks
	tc_run "$tc_work/$suite.out" $installcheck installcheck "$@" || status=$?
	closing=$(sed -n 's/^[# ]*\(.* tests\{0,1\} [pf]a[^.]*\).*/\1/p' "$tc_work/$suite.out" | tail -n 1)
	case $status:$closing in
		0:All*)
			set -- "${closing#All }" 0
			set -- "${1%% *}" 0
			;;
		*" of "*)
			set -- "${closing#* of }" "${closing%% *}"
			set -- $((${1%% *} - $2)) "$2"
			;;
		*)
			closing="could not run"
			set -- 0 1
			;;
	esac
	[ "$2" -eq 0 ] || show "$suite" "$diffs"
	tally "$suite" "$1" "$2" "$closing"
}

# prove closes with "Files=2, Tests=30, ..." and lists each bad file with its
# number of failed assertions, which is 0 if the file died or broke its plan.
prove_suite()
{
	suite=$1
	shift
	bad='0 0'
	if ! tc_run "$tc_work/$suite.out" "$@"; then
		bad=$(sed -n 's/.*(Wstat: .* Failed: \([0-9]*\))$/\1/p' "$tc_work/$suite.out" |
			awk '{ n += $1; m += $1 ? $1 : 1 } END { print n + 0, m ? m : 1 }')
		# shellcheck disable=SC2046	# names without blanks
		show "$suite" $(sed -n 's|^test/[a-z]*/t/\(.*\)\.pl *(Wstat.*|tmp_check/log/regress_log_\1|p' \
			"$tc_work/$suite.out")
	fi
	closing=$(sed -n 's/^\(Files=.*[0-9]\), *[0-9.]* wall.*/\1/p' "$tc_work/$suite.out" | tail -n 1)
	result=$(sed -n 's/^Result: //p' "$tc_work/$suite.out" | tail -n 1)
	count=${closing##*Tests=}
	tally "$suite" $((${count:-0} - ${bad% *})) "${bad#* }" \
		"${closing:-could not run}${result:+, Result: $result}"
}

# The files of a suite: all, or those named.
files()
{
	case $1 in
		regress | stock | parallel | discard | outside) dir=sql ext=sql ;;
		isolation) dir=test/isolation/specs ext=spec ;;
		pgtap) dir=test/pgtap ext=sql ;;
		server | monitoring) dir=test/$1/t ext=pl ;;
		workers | model | proof) dir=test/$1 ext=py ;;
		packages) dir=test/$1 ext=sh ;;
	esac
	shift
	if [ $# -eq 0 ]; then
		find "$dir" -maxdepth 1 -name "*.$ext" 2>/dev/null | sort
	else
		printf "$dir/%s.$ext\n" "$@"
	fi
}

regress()
{
	pg_regress_suite regress regression.diffs ISOLATION= ${1:+REGRESS="$*"}
}

isolation()
{
	pg_regress_suite isolation output_iso/regression.diffs REGRESS= ${1:+ISOLATION="$*"}
}

# make installcheck against a server that has not what the tests ask for elsewhere, and
# whose operator has set what shows in their results.
stock()
{
	data=$tc_home/stock
	if ! tc_run "$tc_work/initdb.log" initdb -D "$data" -U postgres -A trust -N --locale=C --encoding=LATIN1; then
		tally stock 0 1 "could not run"
		return
	fi
	tc_user tee -a "$data/postgresql.conf" >/dev/null <<-EOF
		port = 5433
		unix_socket_directories = '$tc_home'
		listen_addresses = ''
		bytea_output = 'escape'
		datestyle = 'German'
		default_transaction_isolation = 'repeatable read'
		default_toast_compression = 'lz4'
		enable_seqscan = off
		extra_float_digits = 0
		intervalstyle = 'iso_8601'
		plpgsql.extra_warnings = 'all'
		plpgsql.variable_conflict = 'use_variable'
		timezone = 'Asia/Kathmandu'
		tasker_checkpoint.archive_history = on
		tasker_checkpoint.cursor_limit = 100
		tasker_checkpoint.enforce = warning
		tasker_checkpoint.history_limit = 3
		tasker_checkpoint.history_size = 1kB
		tasker_checkpoint.max_deliveries = 1
		tasker_checkpoint.max_lease = 1min
		tasker_checkpoint.notify_channel = elsewhere
		tasker_checkpoint.require_claim = on
		tasker_checkpoint.require_monotonic_items = all
		tasker_checkpoint.results_limit = 200
		tasker_checkpoint.results_warning = 100
	EOF
	tc_run "$tc_work/start.log" pg_ctl -s -w -D "$data" -l "$tc_home/stock.log" start
	installcheck='env PGPORT=5433 make -s -C .'
	pg_regress_suite stock regression.diffs ISOLATION= ${1:+REGRESS="$*"}
	[ $# -gt 0 ] || pg_regress_suite stock output_iso/regression.diffs REGRESS=
	installcheck='make -s -C .'
	tc_user pg_ctl -s -w -D "$data" -m fast stop
}

# What can be run in a parallel worker is. A test that is left out says so, and why: most
# plant code where tables are read that writes, which no worker may.
parallel()
{
	# shellcheck disable=SC2046	# names without blanks
	[ $# -gt 0 ] || set -- $(grep -L '^-- Not in parallel workers' "$tc_tree"/sql/*.sql | sed 's|.*/||; s|\.sql$||')
	case $tc_major in
		15) setting=force_parallel_mode ;;
		*) setting=debug_parallel_query ;;
	esac
	installcheck="env PGOPTIONS=-c${setting}=regress make -s -C ."
	pg_regress_suite parallel regression.diffs ISOLATION= ${1:+REGRESS="$*"}
	installcheck='make -s -C .'
}

# Caches are thrown away as soon as they may be, where the server was built with
# assertions: what is kept across that is seen. It takes minutes a test.
discard()
{
	tc_user psql -Xq -c 'ALTER SYSTEM SET debug_discard_caches = 1' -c 'SELECT pg_reload_conf()' postgres >/dev/null
	pg_regress_suite discard regression.diffs ISOLATION= REGRESS="${*:-yield claim attach}"
	tc_user psql -Xq -c 'ALTER SYSTEM RESET debug_discard_caches' -c 'SELECT pg_reload_conf()' postgres >/dev/null
}

# A build in another folder, in Debian's way, writes nothing where the sources are. Its
# tests are a few of each kind.
outside()
{
	folder=$tc_home/outside/build-$tc_major
	status=0
	tc_user mkdir -p "$folder" "$tc_home/outside/sources"
	tc_user cp -a . "$tc_home/outside/sources"
	tc_user chmod -R a-w "$tc_home/outside/sources"
	installcheck="make -s -C $folder -f ../sources/Makefile VPATH=../sources"
	# shellcheck disable=SC2086	# words without blanks
	if tc_run "$tc_work/outside.out" $installcheck && tc_run "$tc_work/outside.out" $installcheck install; then
		pg_regress_suite outside "$folder/regression.diffs" ISOLATION= REGRESS="${*:-read claim_lease}"
		pg_regress_suite outside "$folder/output_iso/regression.diffs" REGRESS= ISOLATION="yield-savepoints yield-and-clear"
	else
		cat "$tc_work/outside.out"
		tally outside 0 1 "could not build"
	fi
	installcheck='make -s -C .'
	tc_user chmod -R u+w "$tc_home/outside/sources"
}

pgtap()
{
	# Not yet packaged for a server that is not yet released.
	if [ ! -e "$tc_sharedir/extension/pgtap.control" ]; then
		echo "pgtap: skipped: this server has no extension pgtap"
		return
	fi
	tc_user createdb pgtap
	tc_user psql -X -q -d pgtap -c 'CREATE EXTENSION pgtap'
	# shellcheck disable=SC2046	# names without blanks
	prove_suite pgtap pg_prove --psql-bin "$tc_bin/psql" -d pgtap $(files pgtap "$@")
}

# These start servers of their own, two at a time: most of the time one waits.
cluster_suite()
{
	# shellcheck disable=SC2046
	prove_suite "$1" env -u PGHOST -u PGPORT -u PGUSER \
		PATH="$tc_bin:$tc_work/packages/usr/bin:/usr/local/bin:/usr/bin:/bin" \
		TESTDIR="$tc_tree" \
		TESTDATADIR="$tc_tree/tmp_check" TESTLOGDIR="$tc_tree/tmp_check/log" \
		PG_REGRESS="$tc_pgxs/src/test/regress/pg_regress" \
		${ROUNDS:+ROUNDS="$ROUNDS"} ${SEED:+SEED="$SEED"} \
		prove -j 2 -I "$tc_pgxs/src/test/perl" $(files "$@")
}

server()
{
	cluster_suite server "$@"
}

# Prometheus and the exporter come from their packages, not from what may run here.
monitoring()
{
	# promtool is a package of its own since Debian 13
	# shellcheck disable=SC2046	# a name or none
	if ! tc_unpack prometheus prometheus-postgres-exporter \
		$(apt-cache search --names-only '^promtool$' 2>/dev/null | sed 's/ .*//'); then
		tally monitoring 0 1 "could not run"
		return
	fi
	cluster_suite monitoring "$@"
}

# A program in Python closes with the same line as we do.
python_suite()
{
	suite=$1
	shift
	tc_run "$tc_work/$suite.out" /usr/bin/python3 "$@" || :
	closing=$(tail -n 1 "$tc_work/$suite.out")
	case $closing in
		[0-9]*" passed, "[0-9]*" failed")
			bad=${closing#*, }
			set -- "${closing%% *}" "${bad%% *}"
			;;
		*)
			closing="could not run"
			set -- 0 1
			;;
	esac
	[ "$2" -eq 0 ] || grep -v '^ok ' "$tc_work/$suite.out" | tail -n 80
	tally "$suite" "$1" "$2" "$closing"
}

# Real clients in four languages, whose harness starts a server of its own. A name
# is the part of a check's name.
workers()
{
	python_suite workers test/workers/run.py all ${1:+--only "$*"}
}

# The clients as their users get them: built, and installed into a project of nobody's.
packages()
{
	# shellcheck disable=SC2046	# names without blanks
	prove_suite packages prove -e sh $(files packages "$@")
}

# What they need, by their own words: "# Packages: ruby, libpq-dev (for pg)".
packages_need()
{
	(cd "$tc_root" && files packages "$@" | xargs -r sed -n 's/^# Packages: *//p') |
		sed 's/([^)]*)//g; s/\.$//' | tr -s ', ' '\n' | sort -u |
		while read -r package; do
			case $package in
				nodejs | npm) command -v npm >/dev/null || echo "$package" ;;
				*) echo "$package" ;;
			esac
		done
}

# Random calls against a model of what they should do. Names are its arguments.
model()
{
	python_suite model test/model/run.py "$@"
}

# The protocol, as models that are searched exhaustively: in how many states is to be
# seen. Names are its arguments; without, whether the faults of test/mutants fit as well.
proof()
{
	python_suite proof test/proof/run.py "$@"
	sed -n 's/^ok - /proof: /p' "$tc_work/proof.out"
	[ $# -gt 0 ] || python_suite mutants test/mutants/mutants.py
}

# What watches the server finds is a suite of its own, which fails if it is anything.
# Valgrind stands in the place of the server, so that the servers that tests start are
# watched as well; but not what initdb runs.
watch()
{
	case $1 in
		ubsan)
			tc_flags='-fsanitize=undefined -fno-wrapv -g -Wno-error'
			;;
		valgrind)
			tc_need valgrind
			tc_flags='-g -O1'
			tc_env="$tc_env PG_TEST_TIMEOUT_DEFAULT=1800"
			tc_user mkdir "$tc_home/valgrind"
			tc_user mv "$tc_bin/postgres" "$tc_bin/postgres.watched"
			tc_user tee "$tc_bin/postgres" >/dev/null <<-EOF
				#!/bin/sh
				[ "\$1" = -D ] || exec '$tc_bin/postgres.watched' "\$@"
				exec valgrind --quiet --trace-children=yes --error-limit=no \\
					--num-callers=20 --suppressions='$tc_tree/test/valgrind.supp' \\
					--log-file='$tc_home/valgrind/%p' '$tc_bin/postgres.watched' "\$@"
			EOF
			tc_user chmod 755 "$tc_bin/postgres"
			;;
		*) tc_die "nothing watches by the name of $1" ;;
	esac
}

watched()
{
	case $1 in
		ubsan) tc_user find "$tc_home" "$tc_tree" -name '*.log' -exec cat {} + ;;
		valgrind) tc_user find "$tc_home/valgrind" -type f -exec cat {} + ;;
	esac | grep -E 'runtime error|^==[0-9]+==' >"$tc_work/watched"
	head -n 200 "$tc_work/watched"
	if [ ! -s "$tc_work/watched" ]; then
		tally "$1" 1 0 "nothing found"
	else
		tally "$1" 0 1 "something found"
	fi
}

suites=${SUITES:-regress isolation stock parallel outside pgtap server monitoring workers packages model proof}
case ${1-} in
	'') ;;
	regress | isolation | stock | parallel | discard | outside | pgtap | server | monitoring | workers | packages | model | proof)
		suites=$1
		shift
		;;
	*)
		sed -n 's/^# \(sh test.*\)/usage: \1/p' "$0" >&2
		exit 2
		;;
esac

tc_begin
tc_need postgresql-@ postgresql-server-dev-@ 'postgresql-@-pgtap?' 'postgresql-@-plpgsql-check?' \
	libtap-parser-sourcehandler-pgtap-perl libipc-run-perl make gcc clang
case $suites in
	*server*) tc_need 'postgresql-@-repack?' 'postgresql-@-plproxy?' python3-psycopg pgbouncer ;;
esac
case $suites in
	*workers*)
		tc_need python3-psycopg ruby ruby-pg libpq-dev pgbouncer
		# its package clashes with a nodejs that brings its own
		command -v npm >/dev/null || tc_need nodejs npm
		;;
	*model*) tc_need python3-psycopg ;;
esac
case $suites in
	*proof*) tc_need spin gcc ;;
esac
# shellcheck disable=SC2046	# names without blanks
case $suites in
	packages) tc_need $(packages_need "$@") ;;
	*packages*) tc_need $(packages_need) ;;
esac
tc_private
[ -z "${WATCH-}" ] || watch "$WATCH"
echo "$(tc_user pg_config --version) on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"

# One suite is for somebody at work: gcc alone will do.
if [ "$suites" = "${suites#* }" ] || [ -n "${WATCH-}" ]; then
	compilers=gcc
else
	compilers="clang gcc"
fi
for cc in $compilers; do
	if ! tc_build "$cc"; then
		echo "0 passed, 1 failed"
		exit 1
	fi
	echo "build: $cc, no warning with -Wall -Wextra"
done
if ! tc_make install; then
	echo "0 passed, 1 failed"
	exit 1
fi
tc_start

cd "$tc_tree" || exit 1
for suite in $suites; do
	if [ -n "$(files "$suite")" ]; then
		"$suite" "$@"
	else
		echo "$suite: no tests yet"
	fi
done
tc_stop
[ -z "${WATCH-}" ] || watched "$WATCH"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
