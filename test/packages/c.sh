#!/bin/sh
# sh test/packages/c.sh
#
# Installs the C client into a folder, and uses it from there as its users do: in C
# and C++, shared and static, the README's program as it stands. Prints TAP.
#
# Packages: gcc, g++, clang, make, pkg-config, libpq-dev, binutils.

language=c
# shellcheck source=test/packages/lib/package.sh
. test/packages/lib/package.sh

# Ours pass -Werror; a user's build is without.
build()
{
	make -s -C "$work/sources" BUILD="$work/build-$1" CC="$1" CFLAGS='-O2 -g -Werror' "$2" "PREFIX=$work/prefix"
}

same_exports()
{
	nm -D --defined-only "$work/prefix/lib/libtasker_checkpoint_client.so" |
		sed -n 's/^.* T //p' | sed 's/@.*//' | sort >"$work/exported"
	sed -n 's/^extern .*[ *]\(tcw_[a-z_]*\)(.*/\1/p' "$work"/prefix/include/*.h | sort >"$work/declared"
	diff "$work/declared" "$work/exported"
}

has_soname()
{
	readelf -d "$work/prefix/lib/libtasker_checkpoint_client.so" | grep -F 'libtasker_checkpoint_client.so.1]'
}

staged()
{
	make -s -C "$work/sources" BUILD="$work/build-gcc" install DESTDIR="$work/stage" PREFIX=/usr &&
		grep -x 'prefix=/usr' "$work/stage/usr/lib/pkgconfig/tasker_checkpoint_client.pc" &&
		make -s -C "$work/sources" uninstall DESTDIR="$work/stage" PREFIX=/usr &&
		[ -z "$(find "$work/stage" ! -type d)" ]
}

# What is said twice is said alike.
agrees()
{
	version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)
	cmp LICENSE clients/c/LICENSE && grep -x "VERSION = $version" clients/c/Makefile &&
		[ "$(pkg-config --modversion tasker_checkpoint_client)" = "$version" ]
}

# compile COMPILER SOURCE PROGRAM: by what pkg-config says, and strictly.
compile()
{
	# shellcheck disable=SC2046	# several arguments
	"$1" -Wall -Wextra -Wpedantic -Werror -g -o "$3" "$2" -Wl,-rpath,"$work/prefix/lib" \
		$(pkg-config --cflags --libs tasker_checkpoint_client)
}

compile_static()
{
	# shellcheck disable=SC2046	# several arguments
	clang -g -o "$work/check-static" "$root/test/packages/c/check.c" $(pkg-config --cflags tasker_checkpoint_client) \
		"$work/prefix/lib/libtasker_checkpoint_client.a" $(pkg-config --libs libpq) -pthread &&
		! ldd "$work/check-static" | grep tasker_checkpoint
}

# The sources with the program, watched.
compile_watched()
{
	# shellcheck disable=SC2046	# several arguments
	gcc -g -D_XOPEN_SOURCE=700 -fsanitize=address,undefined -fno-sanitize-recover -o "$work/check-watched" \
		"$root/test/packages/c/check.c" "$work"/sources/*.c -I"$work/sources" \
		$(pkg-config --cflags --libs libpq) -pthread
}

checked()
{
	"$1" >"$work/check.out" 2>"$work/check.err"
	rc=$?
	grep -v '^ok' "$work/check.out"
	[ "$rc" -eq 0 ] || tail -n 20 "$work/check.err"
	return "$rc"
}

# The README's program, and what its log says.
invoices()
{
	example "$work/invoice" 2>"$work/invoice.log" || { cat "$work/invoice.log"; return 1; }
	grep -E '^INFO: completed step=[-0-9a-f]{36} queue=default .* sequence=20 items=20000 seconds=' "$work/invoice.log" &&
		grep -E '^INFO: stopping worker=' "$work/invoice.log"
}

cp -R clients/c "$work/sources"
export PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig"

ok "clang compiles it without a warning" build clang all
ok "gcc compiles it without a warning, make installs it" build gcc install
ok "DESTDIR and PREFIX, and back" staged
ok "the shared library exports what the headers declare" same_exports
ok "it has a soname" has_soname
ok "version and licence are the extension's" agrees

block c >"$work/invoice.c"
block c++ >"$work/snippet"
cat >"$work/app.cc" <<END
#include <memory>
#include <tasker_checkpoint_testing.h>

struct App
{
	TcwStatus handle(TcwContext *context) { return tcw_checkpoint_save(context, "1", 1, nullptr, nullptr); }
};

void
run(App &app)
{
	$(cat "$work/snippet")
}

int
main()
{
	return tcw_status_name(TCW_OK)[0] == 'O' ? 0 : 1;
}
END
ok "the README's program compiles" compile gcc "$work/invoice.c" "$work/invoice"
ok "the README's tables are made" tables
ok "it runs, each order has one invoice" invoices
ok "g++ compiles the README's C++" compile g++ "$work/app.cc" "$work/app"
ok "it runs" "$work/app"
ok "clang++ compiles it" compile clang++ "$work/app.cc" "$work/app"
psql -X -q -c 'DROP TABLE jobs CASCADE' -c 'CREATE TABLE applied (n int)' \
	-c 'CREATE TABLE jobs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), processed boolean, made timestamptz DEFAULT clock_timestamp())' \
	-c "SELECT tasker_checkpoint_attach('jobs', key_column => 'id')" >/dev/null 2>&1
ok "a program of every call, shared" compile clang "$root/test/packages/c/check.c" "$work/check"
ok "it runs" checked "$work/check"
ok "statically linked" compile_static
ok "it runs" checked "$work/check-static"
ok "with the sources, by gcc's sanitizers" compile_watched
ok "it runs" checked "$work/check-watched"
echo "1..$tests"
