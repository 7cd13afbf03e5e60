#!/bin/sh
# demo.sh - kill batch workers, and see the others go on
#
#     sh examples/demo.sh
#
# Installs what it needs by apt (as root or by sudo), builds the extension
# and runs it in a private server that is gone again at the end.  Exits
# non-zero if the kills left a trace in the results.  test/lib.sh says what
# can be set from outside.

set -eu
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

tty_return=
if [ -t 1 ]; then tty_return='\r'; fi

say()
{
	printf '%s\n' "$@"
}

sql()
{
	tc_user psql -XqAt -v ON_ERROR_STOP=1 "$@"
}

# show PSQL-ARGUMENT...: psql's output and messages, indented.
show()
{
	tc_user psql -Xq -P footer=off -v ON_ERROR_STOP=1 "$@" >"$tc_work/shown" 2>&1 ||
		tc_die "$(cat "$tc_work/shown")"
	sed '/^$/d; s/^/   /' "$tc_work/shown"
}

# same FILE FILE WHAT: the two files are equal to the byte.
same()
{
	cmp "$1" "$2" >&2 || tc_die "$3 differ from one uninterrupted pass by awk"
}

# bar ITEMS TEXT: a progress bar that stays, over the moving one if there is one.
bar()
{
	move_bar "$@"
	echo
}

move_bar()
{
	filled=$(($1 * 28 / records))
	printf "$tty_return   [%.${filled}s%.$((28 - filled))s] %s" \
		'############################' \
		'............................' "$2"
}

# start_worker NAME: a process group of its own, which says on descriptor 3
# where it is and how it ends.
start_worker()
{
	# shellcheck disable=SC2016,SC2086	# expands in the inner shell; lists
	setsid $tc_as $tc_env PGUSER=demo_worker PGDATABASE=postgres \
		PYTHONPATH="$tc_tree/clients/python" timeout 150 sh -c '
			trap : TERM
			/usr/bin/python3 "$@"
			echo "$2 ended $?"' \
		sh "$tc_tree/examples/worker.py" "$1" --lease 2 --pause 0.015 \
		>&3 2>>"$tc_work/worker.log" &
	echo $! >"$tc_work/$1.pid"
}

# signal_worker SIGNAL NAME
signal_worker()
{
	read -r group <"$tc_work/$2.pid"
	kill "-$1" "-$group"
}

# watch: what an operator sees, once.
watch()
{
	[ -z "$watched" ] || return 0
	watched=1
	say '' '   Meanwhile psql -f examples/watch.sql shows:'
	show -v once=1 -f "$tc_tree/examples/watch.sql"
	grep -q "package_sizes .* / $records " "$tc_work/shown" ||
		tc_die 'the step is not shown, or its total'
	say ''
}

cleanup()
{
	for name in worker-1 worker-2; do
		signal_worker KILL $name || :
	done 2>/dev/null
	tc_cleanup
}

# run_step NAME [SIGNAL BATCH]...: dispatch the step and follow the workers
# until it is done.  Who holds it in the middle of these batches is sent these
# signals.  Replaced, or continued, it is when the other one has taken over.
run_step()
{
	step=$(sql -v name="$1" <<-'SQL'
		SELECT workflow_step_uuid
		FROM tasker.workflow_steps JOIN tasker.named_steps USING (named_step_uuid)
		WHERE name = :'name'
	SQL
	)
	sql -c "SELECT tasker_checkpoint_dispatch('$step')" >"$tc_work/event"
	shift
	at=0 kept=0 holder='' lost='' zombie='' runs_1=0 runs_2=0
	while read -r name word value more <&3; do
		case $word in
		resumed)
			if [ -n "$lost" ]; then
				[ "$value" = "$stored" ] || tc_die "$name resumed at $value, not at $stored"
				bar "$value" "$name claims it at $value: $((at - value)) to redo"
				watch
				if [ "$lost" = "$zombie" ]; then
					signal_worker CONT "$lost"
				else
					start_worker "$lost"
				fi
				lost=
			fi
			[ "$value" -ge "$kept" ] || tc_die "$name resumed at $value, not at $kept"
			holder=$name at=$value
			case $name in
			worker-1) runs_1=$((runs_1 + 1)) ;;
			worker-2) runs_2=$((runs_2 + 1)) ;;
			esac
			;;
		at)
			[ "$name" = "$holder" ] || continue
			[ "$value" -le "$records" ] || tc_die "$name is at $value of $records"
			if [ -n "$tty_return" ]; then
				move_bar "$value" "$name at $value"
			elif [ $((value * 4 / records)) -gt $((at * 4 / records)) ]; then
				bar "$value" "$name at $value"
			fi
			at=$value
			if [ $# -gt 0 ] &&
				[ "$at" -ge $((($2 - 1) * batch_size + batch_size * 2 / reports)) ]
			then
				signal_worker "$1" "$name"
				if [ "$1" = STOP ]; then zombie=$name; fi
				lost=$name holder=''
				bar "$at" "kill -$1 of $name at $at"
				stored=$(sql -c "SELECT tasker_checkpoint_items_processed('$step')")
				shift 2
			fi
			;;
		kept)
			kept=$value receipt=$more
			;;
		refused)
			if [ "$name" = "$zombie" ]; then zombie=refused; fi
			bar "$at" "$name, back too late, may not write: $value"
			;;
		done)
			break
			;;
		*)
			cat "$tc_work/worker.log" >&2
			tc_die "$name: $word $value $more"
			;;
		esac
	done
	[ $# -eq 0 ] || tc_die "the step was done before the last signal"
	case $zombie in
	worker-*) tc_die "$zombie, back too late, was not refused" ;;
	esac
	[ "${receipt% *}" = "$batches" ] || tc_die "$receipt is not checkpoint $batches"
	bar "$records" "$name completes the step"
}

# --- the server and the work ------------------------------------------------

say 'tasker_checkpoint: kill batch workers, and see the others go on.' ''
say '1. Build the extension, start a private PostgreSQL, create Tasker'"'"'s tables.'

tc_begin
trap cleanup EXIT
tc_need gcc libc6-dev make postgresql-@ postgresql-server-dev-@ python3-psycopg
tc_private
tc_make all
tc_make install
tc_start

mkfifo "$tc_work/workers"
exec 3<>"$tc_work/workers"

# All package records that apt knows, or at least those of the installed ones,
# in one file; and what is to come out: the list of packages with the bytes between
# which each record lies, and the sums by section.
apt-cache dumpavail >"$tc_work/available"
[ -s "$tc_work/available" ] || cat /var/lib/dpkg/status >"$tc_work/available"
LC_ALL=C awk -v OFS='\t' -v list="$tc_work/list.expected" '
	BEGIN { section = "none"; kib = start = 0 }
	/^Package: / { package = $2 }
	/^Section: / { section = $2 }
	/^Installed-Size: / { kib = $2 }
	{ end += length($0) + 1 }
	/^$/ {
		print start, end, package, section, kib >list
		packages[section]++
		sum[section] += kib
		section = "none"
		kib = 0
		start = end
	}
	END { for (name in packages) print name, packages[name], sum[name] }
' "$tc_work/available" | LC_ALL=C sort >"$tc_work/sizes.expected"
records=$(wc -l <"$tc_work/list.expected")
bytes=$(wc -c <"$tc_work/available")
reports=5	# from the worker, in each batch
# shellcheck disable=SC2017	# a multiple of $reports
batch_size=$((records / 120 / reports * reports + reports))
batches=$(((records + batch_size - 1) / batch_size))
watched=

sql -f "$tc_tree/examples/steps.sql"

say '2. CREATE EXTENSION tasker_checkpoint; it finds the table:'
show -c 'CREATE EXTENSION tasker_checkpoint'
say '   So be it: both indexes are dropped as the hints say.'
sed -n 's/^HINT: *Run \(DROP INDEX .*\)\.$/\1;/p' "$tc_work/shown" | sql
[ "$(sql -c "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%checkpoint IS%'")" = 0 ] ||
	tc_die 'an index that CREATE EXTENSION has to warn of is still there'

sql -v file="$tc_work/available" -v bytes="$bytes" -v size="$batch_size" \
	-v records="$records" <<'SQL'
CREATE TABLE packages (
	record_start bigint, record_end bigint, name text, section text, kib bigint
);

WITH task AS (
	INSERT INTO tasker.tasks DEFAULT VALUES RETURNING task_uuid
), named_step AS (
	INSERT INTO tasker.named_steps (name)
	VALUES ('package_sizes'), ('package_list') RETURNING named_step_uuid
)
INSERT INTO tasker.workflow_steps
	(task_uuid, named_step_uuid, inputs, created_at, updated_at)
SELECT task_uuid, named_step_uuid, jsonb_build_object(
	'cursor', jsonb_build_object('batch_id', '001', 'start_cursor', 0,
		'end_cursor', :bytes, 'batch_size', :size),
	'batch_metadata', jsonb_build_object('file', :'file', 'records', :records),
	'is_no_op', false), now(), now()
FROM task, named_step;

CREATE ROLE demo_worker LOGIN;
GRANT USAGE ON SCHEMA tasker TO demo_worker;
GRANT SELECT ON tasker.named_steps TO demo_worker;
GRANT SELECT (workflow_step_uuid, named_step_uuid, inputs, processed, checkpoint),
	UPDATE (checkpoint, updated_at) ON tasker.workflow_steps TO demo_worker;
GRANT INSERT ON packages TO demo_worker;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_claim, tasker_checkpoint_heartbeat,
	tasker_checkpoint_yield, tasker_checkpoint_save, tasker_checkpoint_complete,
	tasker_checkpoint_release TO demo_worker;
SQL

# --- the runs ---------------------------------------------------------------

say '' "3. Add up the installed size of Debian's sections: $records package records," \
	"   $((bytes / 1000)) kB. Two workers wait for notifications. Each run does $batch_size of" \
	'   them and ends with' \
	'   SELECT * FROM tasker_checkpoint_yield(step, cursor, items, sums, event);' \
	'   Either worker may claim the next run. Its claim ends after 2 seconds unless it' \
	'   extends it, which a dead worker does not.'
start_worker worker-1
start_worker worker-2
run_step package_sizes 9 $((batches * 37 / 100)) 9 $((batches * 71 / 100))
sql >"$tc_work/sizes" -c "
	COPY (
		SELECT key, value, sums -> 'kib' -> key
		FROM tasker_checkpoint_accumulated_results('$step') AS sums,
			jsonb_each(sums -> 'packages')
		ORDER BY key COLLATE \"C\"
	) TO STDOUT"
same "$tc_work/sizes" "$tc_work/sizes.expected" 'the sums'
say "   $((runs_1 + runs_2)) runs, $runs_1 by worker-1 and $runs_2 by worker-2. The sums are those of one" \
	"   uninterrupted pass by awk in each of $(wc -l <"$tc_work/sizes") sections; the largest:"
show -c "
	SELECT key AS section, value AS packages,
		pg_size_pretty((sums -> 'kib' -> key)::bigint * 1024) AS installed
	FROM tasker_checkpoint_accumulated_results('$step') AS sums,
		jsonb_each(sums -> 'packages')
	ORDER BY (sums -> 'kib' -> key)::bigint DESC LIMIT 3"
say "   The last receipt: sequence ${receipt% *}, directive ${receipt#* }. Each checkpoint" \
	'   has left its entry in the history, the newest ten are kept; the last two:'
show -At -c "
	SELECT jsonb_pretty(
		checkpoint - '{cursor, items_processed, timestamp, accumulated_results}'::text[] ||
		jsonb_build_object('history', jsonb_path_query_array(checkpoint,
			'\$.history[last - 1 to last]')))
	FROM tasker.workflow_steps WHERE workflow_step_uuid = '$step'"

say '' '4. Copy the same records into a table. Each batch of rows commits with' \
	'   SELECT * FROM tasker_checkpoint_save(step, cursor, items, total, event);'
run_step package_list 9 $((batches * 23 / 100)) STOP $((batches * 48 / 100)) \
	9 $((batches * 84 / 100))
sql >"$tc_work/list" -c 'COPY (TABLE packages ORDER BY record_start) TO STDOUT'
same "$tc_work/list" "$tc_work/list.expected" 'the rows'
show -c "
	SELECT 'workers' AS by, count(*) AS rows,
		count(DISTINCT record_start) AS distinct, sum(kib) AS kib
	FROM packages
	UNION ALL
	SELECT 'awk', $(awk '{ kib += $5 }
		END { printf "%d, %d, %.0f", NR, NR, kib }' "$tc_work/list.expected")"
say "   Each record is there once, and the rows are awk's to the byte." ''

for name in worker-1 worker-2; do
	read -r group <"$tc_work/$name.pid"
	kill "$group"	# passes it on to the others
done
for _ in worker-1 worker-2; do
	read -r name word value <&3
	[ "$word $value" = 'ended 0' ] || tc_die "$name $word $value"
done
rm "$tc_work"/worker-*.pid
[ "$(sql -c 'SELECT count(*) FROM tasker_checkpoint_events')" = 0 ] ||
	tc_die 'a step is still dispatched'
say 'Four workers were killed, one was stopped for too long: no record is missing,' \
	'none was counted twice.'
