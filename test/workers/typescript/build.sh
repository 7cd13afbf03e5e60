#!/bin/sh
# sh build.sh DIR
#
# Compiles the client into DIR/client and the worker into DIR, where "worker"
# starts it. Its packages come from the npm registry.
#
# Packages: nodejs (18 or later), npm.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)

rm -rf "$dir/client" "$dir/src"
mkdir -p "$dir/client" "$dir/src" "$dir/node_modules"
cd "$here/../../../clients/typescript"
cp -R package.json package-lock.json .npmrc tsconfig.json src "$dir/client"
cp "$here"/*.ts "$dir/src"
cp "$here/tsconfig.json" "$here/package.json" "$dir"

cd "$dir/client"
npm ci --ignore-scripts --loglevel=error --no-audit --no-fund
npx tsc
cd "$dir"
ln -sfn ../client node_modules/tasker-checkpoint-client
client/node_modules/.bin/tsc

cat >worker <<'SH'
#!/bin/sh
exec node "$(dirname "$0")/dist/worker.js" "$@"
SH
chmod +x worker
