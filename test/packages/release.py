"""What .github/ and the Dockerfile say, against what is here: says what is wrong.

With the word "commands": what the workflow of a release runs between the actions.
"""

import pathlib
import re
import sys

import yaml

wrong = []


def check(good, what):
    if not good:
        wrong.append(what)


def packages(command):
    """What a shell command installs by apt."""
    found = re.search(r"apt-get install (.*?)(?: && |$)", command)
    return {word.strip('"') for word in found[1].split() if not word.startswith("-")} if found else set()


def documented(heading):
    """What docs/install.md says under a heading that is to be installed."""
    text = pathlib.Path("docs/install.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for command in re.findall(r"^sudo (apt-get install .*)$", text, re.M):
        return packages(command)
    return set(re.search(r"\(Debian: `(.*?)`\)", text)[1].split())


def command(where, run):
    """A step calls git, apt, or what is in the repository."""
    check("${{" not in run, f"{where}: an expression in a command")
    for part in run.split("&&"):
        words = [word for word in part.split() if not re.match(r"[A-Z_]+=", word)]
        if words[0] in ("sh", "bash"):
            check(pathlib.Path(words[1]).is_file(), f"{where}: no {words[1]}")
        elif words[0] == "make":
            makefile = pathlib.Path("Makefile").read_text()
            check(re.search(rf"^{words[1]}:", makefile, re.M), f"{where}: no target {words[1]}")
        elif words[0] == "dpkg-buildpackage":
            check(part.strip() in pathlib.Path("docs/install.md").read_text(), f"{where}: another command than docs/install.md has")
        else:
            check(words[0] in ("apt-get", "git", "mkdir", "mv"), f"{where}: what is {words[0]}?")


def pinned(where, text, uses):
    """An action is named by its commit, and by its version for those who read."""
    check(re.search(rf"uses: {re.escape(uses)} # v\d+\.\d+\.\d+$", text, re.M) and re.search(r"@[0-9a-f]{40}$", uses),
          f"{where}: {uses} is not pinned")


def workflow(path, text):
    check(text["permissions"] == {"contents": "read"}, f"{path}: permissions {text['permissions']}")
    installed = set()
    for name, job in text["jobs"].items():
        where = f"{path}, {name}"
        rights = dict(job.get("permissions", {}))
        check(rights.pop("contents", "read") == "read", f"{where}: may write contents")
        used = " ".join(step.get("uses", "") for step in job["steps"])
        check(not rights or "actions/attest-build-provenance@" in used, f"{where}: {rights} are needed by nothing")
        check(set(rights) <= {"id-token", "attestations"}, f"{where}: {rights}")
        check(job.get("timeout-minutes"), f"{where}: no timeout-minutes")
        image = job["container"] if isinstance(job["container"], str) else job["container"]["image"]
        check(image == "debian:12", f"{where}: image {image}")
        for step in job["steps"]:
            check(len({"run", "uses"} & set(step)) == 1, f"{where}: {step}")
            if "run" in step:
                command(where, step["run"])
                installed |= packages(step["run"])
            else:
                pinned(where, path.read_text(), step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                check(step["with"]["persist-credentials"] is False, f"{where}: checkout leaves credentials")
    return installed


def form(path, text):
    check(all(isinstance(text.get(key), str) for key in ("name", "description")), f"{path}: no name or description")
    ids = []
    for part in text["body"]:
        check(part["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes"), f"{path}: type {part['type']}")
        if part["type"] == "markdown":
            check(part["attributes"]["value"], f"{path}: nothing said")
        else:
            check(part["attributes"]["label"], f"{path}: no label")
            ids.append(part["id"])
    check(ids and len(ids) == len(set(ids)), f"{path}: ids {ids}")
    for file in re.findall(r"\b[A-Z]+\.md\b", str(text)):
        check(pathlib.Path(file).is_file(), f"{path}: no {file}")


def dockerfile():
    text = re.sub(r"\\\n", " ", pathlib.Path("Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    images = [rest.split()[0] for word, rest in lines if word == "FROM"]
    check(len(images) == 2 and set(images) == {"postgres:${PG_MAJOR}-bookworm"}, f"Dockerfile: images {images}")
    check(lines[0][0] == "ARG" and re.fullmatch(r"PG_MAJOR=1[5-9]", lines[0][1]), f"Dockerfile: {lines[0]}")
    final = [word for word, _ in lines][[i for i, line in enumerate(lines) if line[0] == "FROM"][1]:]
    check("RUN" not in final, "Dockerfile: something is run in what is delivered")
    copied = [file for word, rest in lines if word == "COPY" and not rest.startswith("--from") for file in rest.split()[:-1]]
    for file in copied:
        check(pathlib.Path(file).exists(), f"Dockerfile: no {file}")
    wanted = set().union(*(packages(rest) for word, rest in lines if word == "RUN"))
    wanted = {package.replace("$PG_MAJOR", "15") for package in wanted}
    check(wanted == documented("From source"), f"Dockerfile: {wanted}, docs/install.md: {documented('From source')}")


if sys.argv[1:] == ["commands"]:
    release = yaml.safe_load(pathlib.Path(".github/workflows/release.yml").read_text())
    print("\n".join(step["run"] for step in release["jobs"]["artifacts"]["steps"] if "run" in step))
    sys.exit()

# What the steps before and between need: actions of others, and the checkout
OTHERS = {"git", "ca-certificates", "curl"}

installed = set()
for path in sorted(pathlib.Path(".github").rglob("*")):
    if path.is_dir():
        continue
    text = yaml.safe_load(path.read_text())
    if path.parent.name == "workflows":
        installed |= workflow(path, text)
    elif path.name == "config.yml":
        check(text == {"blank_issues_enabled": False}, f"{path}: {text}")
    else:
        form(path, text)
wanted = documented("Debian package") | OTHERS
check(installed == wanted, f"workflows install {installed}, docs/install.md says {wanted}")
dockerfile()
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
