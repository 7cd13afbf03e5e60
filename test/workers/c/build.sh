#!/bin/sh
# sh build.sh DIR
#
# Compiles the worker with its client into DIR/worker; CC chooses the compiler.
#
# Packages: make, gcc or clang, libpq-dev.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
exec make -s -C "$here/../../../clients/c" BUILD="$(cd "$1" && pwd)" \
	PROGRAM=worker SOURCE="$here/worker.c"
