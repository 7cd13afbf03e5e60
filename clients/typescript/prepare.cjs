/* Builds dist. npm installs a folder as it is, so what that needs is fetched here. */

const { execSync } = require("node:child_process");
const { existsSync, rmSync } = require("node:fs");
const { join } = require("node:path");

process.chdir(__dirname);
const compiler = join("node_modules", "typescript", "bin", "tsc");
if (!existsSync(compiler)) execSync("npm ci --ignore-scripts --prefer-offline --no-audit --no-fund", { stdio: "inherit" });
rmSync("dist", { recursive: true, force: true });
execSync(`"${process.execPath}" "${compiler}"`, { stdio: "inherit" });
