# shellcheck shell=sh
# Shared by the scripts that look at packages of the extension. They set work, a folder of
# their own. What a command leaves in the shell is there for the next.
# shellcheck disable=SC2154

tests=0

# ok WHAT COMMAND...: fine if the command succeeds.
ok()
{
	tests=$((tests + 1))
	what=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $tests - $what"
	else
		echo "not ok $tests - $what"
		tail -n 40 "$work/out" | sed 's/^/# /'
	fi
}
