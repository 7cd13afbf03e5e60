# shellcheck shell=sh
# Shared by test/run.sh, test/matrix.sh and the demos in examples/: a private copy of
# the server, a private instance of it, and nothing left behind.
#
# The caller sets tc_root (the project) before it sources this file, then calls
# in this order what it needs:
#
#	tc_begin			make the work directory $tc_work, clean up at exit
#	tc_need PACKAGE...		choose the server; install what is missing by apt
#	tc_private			copy the server and the sources into $tc_work, for
#					an unprivileged user
#	tc_unpack PACKAGE...		fetch packages, unpack them into $tc_work/packages
#	tc_build CC			compile without a warning
#	tc_make install			install into the copy of the server
#	tc_start [SETTING...]		initdb, start; PGHOST, PGPORT, PGUSER lead there
#	tc_stop
#
# and runs its own commands by
#
#	tc_user COMMAND...		as the unprivileged user, in a clean environment
#	tc_run LOG COMMAND...		the same, output to LOG, ended if we are
#
# Afterwards: $tc_major (15), $tc_bin (psql and the rest), $tc_pg_config,
# $tc_pgxs, $tc_tree (the sources), $tc_home (the unprivileged user's, with the socket),
# $tc_data, $tc_home/server.log.
#
# Called by root, it runs nothing that somebody else could have changed: $tc_work
# belongs to root, who may write to it and run programs from it. Below $tc_tree,
# $tc_home and the copy of the server all belongs to the unprivileged user; programs
# there are run as that user, and nothing is written there as root.
#
# From outside: PG_CONFIG or PG_MAJOR choose another server than the one the
# distribution delivers, TMPDIR the place of the work directory, KEEP=1 keeps it.
# http_proxy, https_proxy, no_proxy, NODE_EXTRA_CA_CERTS and npm_config_registry say how
# npm gets out.
#
# An exit status of 77 says that the registry does not deliver the server.

tc_not_delivered=77

# What of the caller's environment programs need to get out to the network.
tc_network='http_proxy https_proxy no_proxy npm_config_registry'

tc_die()
{
	echo "$*" >&2
	exit 1
}

# Says why others than root could change what is in a folder, or put another in its
# place: if it, or any folder on the way to it, is not root's, or is open to others.
# Where the sticky bit keeps them from each other's entries that may be; in the folder
# itself only if it is meant to be shared.
tc_untrusted()
{
	if [ -L "${1%/}" ] || [ ! -d "$1" ]; then
		echo "$1 is no folder"
		return
	fi
	sticky='( ! -perm /022 -o -perm -1000 )'
	closed='! -perm /022'
	[ "${2-}" != shared ] || closed=$sticky
	entry=$(cd "$1" && pwd -P)
	# shellcheck disable=SC2086	# several arguments
	while [ -n "$(find "$entry" -maxdepth 0 -uid 0 $closed)" ]; do
		[ "$entry" != / ] || return 0
		entry=$(dirname "$entry")
		closed=$sticky
	done
	echo "$entry is not root's alone"
}

tc_begin()
{
	umask 022
	# A socket's path has 107 bytes, make knows no blanks in a path.
	case ${TMPDIR:=/tmp} in
		*[[:space:]]*) TMPDIR=/tmp ;;
	esac
	[ "${#TMPDIR}" -le 60 ] || TMPDIR=/tmp
	if [ "$(id -u)" -eq 0 ] && [ -n "$(tc_untrusted "$TMPDIR" shared)" ]; then
		TMPDIR=/tmp
	fi
	tc_child=
	tc_work=$(mktemp -d "$TMPDIR/tckpt.XXXXXX") || exit 1
	trap tc_cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# The server derives its own paths from where it is, symlinks resolved.
	tc_work=$(cd "$tc_work" && pwd -P)
	# The unprivileged user may not be allowed where we were called.
	cd "$tc_work" || exit 1

	tc_sudo=
	if [ "$(id -u)" -ne 0 ]; then
		tc_sudo=sudo
	fi
}

# Ends what we started and nothing else: the running step with its children,
# then every server whose data directory is in the work directory (server tests
# start their own).
tc_cleanup()
{
	# whatever fails here, the rest is still to be done
	set +e
	trap '' HUP INT TERM
	if [ -n "$tc_child" ]; then
		kill -TERM "-$tc_child" 2>/dev/null
		wait "$tc_child"
	fi
	find "$tc_work" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		tc_user "$tc_bin/pg_ctl" -s -D "${pidfile%/*}" -m immediate stop
	done
	cd /
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $tc_work"
	else
		rm -rf "$tc_work"
	fi
}

# The server's major version: the caller's wish, else the one that is installed,
# else the one that the distribution delivers.
tc_choose()
{
	tc_major=${PG_MAJOR:-}
	if [ -n "${PG_CONFIG:-}" ]; then
		tc_pg_config=$PG_CONFIG
		tc_major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		return
	fi
	if [ -z "$tc_major" ]; then
		tc_major=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres |
			sed -n 's|.*/postgresql/\([0-9]*\)/.*|\1|p' | sort -n | tail -n 1)
	fi
	if [ -z "$tc_major" ]; then
		tc_apt update
		tc_major=$(apt-cache depends postgresql 2>/dev/null |
			sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
	fi
	[ -n "$tc_major" ] || tc_die 'no package "postgresql" here: set PG_CONFIG'
	tc_pg_config=/usr/lib/postgresql/$tc_major/bin/pg_config
}

# Installs those packages that are missing. @ stands for the major version of
# the server, which is chosen here; what ends in ? is left out if the registry
# does not deliver it.
tc_need()
{
	case $* in
		*@*) tc_choose ;;
	esac
	if ! command -v dpkg-query >/dev/null; then
		return				# not Debian: what is missing will show
	fi
	missing=
	for package; do
		case $package in
			*@*)
				# A server built from source needs no package.
				case $tc_pg_config:$("$tc_pg_config" --bindir 2>/dev/null) in
					/usr/lib/postgresql/* | *:/usr/lib/postgresql/*) ;;
					*) continue ;;
				esac
				package=${package%%@*}$tc_major${package#*@}
				;;
		esac
		case $(dpkg-query -W -f '${db:Status-Status}' "${package%\?}" 2>/dev/null) in
			installed) ;;
			*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0

	echo "installing:$missing" | tr -d '?'
	tc_apt update
	set --
	for package in $missing; do
		if [ -n "$(apt-cache madison "${package%\?}")" ]; then
			set -- "$@" "${package%\?}"
		else
			echo "the registry does not deliver ${package%\?}"
			[ "$package" != "${package%\?}" ] || exit $tc_not_delivered
		fi
	done
	tc_apt install --no-install-recommends "$@"
}

# apt-get, one run of ours at a time (apt's own lock fails instead of waiting).
# Debian starts a server "main" with the package unless told not to; servers
# that exist stay as they are.
tc_apt()
{
	# shellcheck disable=SC2016	# expands in the inner shell
	if ! $tc_sudo flock /etc/apt sh -euc '
		dir=/etc/postgresql-common/createcluster.d
		conf=$dir/tasker_checkpoint_test.conf
		undo="rm -f $conf"
		[ -d $dir ] || undo="$undo; rmdir -p --ignore-fail-on-non-empty $dir"
		trap "$undo" EXIT
		trap "exit 1" HUP INT TERM
		mkdir -p $dir
		echo "create_main_cluster = false" >$conf
		export DEBIAN_FRONTEND=noninteractive
		apt-get -y -qq -o APT::Update::Error-Mode=any "$@" </dev/null
		' sh "$@" >>"$tc_work/apt.log" 2>&1
	then
		tail -n 20 "$tc_work/apt.log"
		tc_die "apt-get $1 failed"
	fi
}

# Fetches packages by apt and unpacks them into $tc_work/packages. They are not
# installed, so that no service they bring is started, or was running and is
# replaced. What they depend on is not fetched.
tc_unpack()
{
	mkdir -p "$tc_work/packages/archives"
	(
		cd "$tc_work/packages/archives" || exit 1
		command -v apt-get >/dev/null || tc_die "no apt-get to fetch $* with"
		tc_apt update
		tc_apt download "$@"
		for archive in *.deb; do
			dpkg-deb --extract "$archive" .. || exit 1
		done
	)
}

# Copies the sources as git sees them (tracked or new, not ignored), or all of
# them where there is no git.
tc_sources()
{
	mkdir -p "$1"
	(
		cd "${tc_root:?}" || exit 1
		if [ -e .git ] && command -v git >/dev/null; then
			# The clone may belong to somebody else.
			git -c safe.directory='*' ls-files -coz --exclude-standard
		else
			find . -name .git -prune -o \( -type f -o -type l \) -print0
		fi | tar --null --ignore-failed-read -cf - -T - 2>/dev/null
	) | tar --no-same-owner -xf - -C "$1"
	[ -f "$1/Makefile" ] || tc_die "could not copy $tc_root"
}

# The certificates that programs trust here, by the caller's wish or the system's. Node.js
# and a chroot know nothing of those that were added to the system.
tc_trusted()
{
	for file in "${NODE_EXTRA_CA_CERTS-}" "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt; do
		if [ -f "$file" ]; then
			cat "$file"
			return
		fi
	done
	return 1
}

# A copy of the server, found by its own path, so that nothing is installed into
# the system; and a user to run it, because a server refuses root.
tc_private()
{
	tc_as=
	owner=$(id -un)
	if [ "$(id -u)" -eq 0 ]; then
		owner=nobody
		if id postgres >/dev/null 2>&1; then
			owner=postgres
		fi
		tc_as="setpriv --reuid=$owner --regid=$(id -g "$owner") --init-groups"
	fi

	tc_home=$tc_work/home
	mkdir -m 700 "$tc_home"
	system=$tc_pg_config
	copy=$tc_work/server
	[ -x "$system" ] || tc_die "no $system"
	for dir in bindir pkglibdir sharedir; do
		dir=$("$system" --$dir)
		mkdir -p "$copy$dir"
		cp -a "$dir/." "$copy$dir"
	done
	dir=$("$system" --includedir)
	mkdir -p "$copy${dir%/*}"
	[ -e "$copy$dir" ] || ln -s "$dir" "$copy$dir"

	tc_bin=$copy$("$system" --bindir)
	tc_pg_config=$tc_bin/pg_config
	for dir in bindir pkglibdir sharedir includedir-server pgxs; do
		if [ "$("$tc_pg_config" --$dir)" != "$copy$("$system" --$dir)" ]; then
			tc_die "$tc_pg_config does not lead into the copy (--$dir)"
		fi
	done
	tc_pgxs=$("$tc_pg_config" --pgxs)
	tc_pgxs=${tc_pgxs%/src/makefiles/*}
	# shellcheck disable=SC2034	# for who sources this
	tc_sharedir=$("$tc_pg_config" --sharedir)
	tc_includes=$("$tc_pg_config" --includedir-server)
	tc_data=$tc_home/data

	tc_tree=$tc_work/tree
	tc_sources "$tc_tree"
	mkdir "$tc_home/tmp"

	# A clean environment, so that no PG*, MAKEFLAGS or locale of the caller
	# changes a result. Background jobs of a shell ignore INT: undone here.
	tc_env="env -i --default-signal=INT,QUIT PATH=$tc_bin:/usr/local/bin:/usr/bin:/bin"
	tc_env="$tc_env HOME=$tc_home TMPDIR=$tc_home/tmp LC_ALL=C TZ=UTC"
	tc_env="$tc_env PGHOST=$tc_home PGPORT=5432 PGUSER=postgres PG_CONFIG=$tc_pg_config"
	tc_env="$tc_env PGCTLTIMEOUT=300"
	for name in $tc_network; do
		value=$(printenv "$name") && tc_env="$tc_env $name=$value"
	done
	! tc_trusted >"$tc_home/trusted.pem" || tc_env="$tc_env NODE_EXTRA_CA_CERTS=$tc_home/trusted.pem"

	if [ -n "$tc_as" ]; then
		chown -R "$owner" "$copy" "$tc_tree" "$tc_home"
		chgrp "$(id -g "$owner")" "$tc_work"
		chmod 750 "$tc_work"
	fi
	# shellcheck disable=SC2016
	tc_user sh -c 'cd "$HOME" && test -w .' ||
		tc_die "user $owner can't reach $tc_work: set TMPDIR"
}

tc_user()
{
	# shellcheck disable=SC2086	# lists, made of words without blanks
	$tc_as $tc_env "$@"
}

# In the background and in a session of its own, so that a signal to us is acted
# on at once and reaches all that the step has started.
tc_run()
{
	log=$1
	shift
	# shellcheck disable=SC2086
	setsid $tc_as $tc_env "$@" >"$log" 2>&1 </dev/null &
	tc_child=$!
	status=0
	wait "$tc_child" || status=$?
	tc_child=
	return $status
}

tc_make()
{
	if ! tc_run "$tc_work/make.log" make -s -C "$tc_tree" "$@"; then
		tail -n 60 "$tc_work/make.log"
		echo "make $1 failed"
		return 1
	fi
}

# The server's headers are read as system headers: they are not clean under
# -Wextra, our sources are, but for parameters that a callback has because the
# server says so. clang does not know every flag that gcc, the server's own
# compiler, was given. $tc_flags are more of them.
tc_build()
{
	flags="-isystem $tc_includes -Wall -Wextra -Werror -Wno-unused-parameter"
	case $1 in
		clang*) flags="$flags -Wno-unknown-warning-option -Wno-ignored-optimization-argument" ;;
	esac
	tc_make clean && tc_make all CC="$1" COPT="$flags ${tc_flags-}"
}

tc_start()
{
	tc_user "$tc_bin/initdb" -D "$tc_data" -U postgres -A trust -N \
		--locale=C --encoding=UTF8 >"$tc_work/initdb.log" 2>&1 ||
		tc_die "initdb failed: $(cat "$tc_work/initdb.log")"
	{
		echo "unix_socket_directories = '$tc_home'"
		echo "listen_addresses = ''"
		echo 'fsync = off'
		echo 'max_prepared_transactions = 10'
		for setting; do
			echo "$setting"
		done
	} | tc_user tee -a "$tc_data/postgresql.conf" >/dev/null
	tc_user "$tc_bin/pg_ctl" -s -w -D "$tc_data" -l "$tc_home/server.log" start ||
		tc_die "the server did not start: $(tail -n 20 "$tc_home/server.log")"
}

tc_stop()
{
	tc_user "$tc_bin/pg_ctl" -s -w -D "$tc_data" -m fast stop
}
