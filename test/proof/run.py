"""The protocol, as models that spin searches exhaustively, and a server beside them.

    run.py [NAME...] [--deep]

README.md says more.  The last line counts searches, and what trace.py checks.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What is searched whole: nothing but states in which all that is asserted holds
STOPS = ("-DITEMS=1", "-DACCIDENTS=1", "-DEXPIRIES=1", "-DOPERATIONS=1")
CRASHES = ("-DITEMS=2", "-DACCIDENTS=2", "-DEXPIRIES=1", "-DOPERATIONS=0")
SMALL = ("-DITEMS=1", "-DACCIDENTS=1", "-DEXPIRIES=1", "-DOPERATIONS=0")

# What is left out of a model, and what spin then finds
PROTOCOL_LACKS = {
    "NO_FENCE": (CRASHES, "ev.id==held"),
    "NO_NEW_ID": (CRASHES, r"held\[1\].*held\[2\]"),
    "NO_LEASE": (CRASHES, r"!\(ev.leased\)"),
    "NO_REDELIVERY": (CRASHES, "invalid end state"),
    "NO_RECEIPT": (CRASHES, r"!\(stored\)"),
    "NO_TC003": (CRASHES, r"applied\["),
    "NO_RECHECK_CLAIM": (CRASHES, r"!\(ev.leased\)"),
    "NO_RECHECK_WRITE": (CRASHES, "ev.id==held"),
    "NO_RECHECK_EVENT": (CRASHES, "ev.id==held"),
    "READ_FIRST": (CRASHES, "pos==st_pos"),
    "NO_DIRECTIVE": (STOPS, "ev.directive==0"),
    "OLD_DIRECTIVE": (STOPS, "told==ev.directive"),
}
LOST = "asleep"
WAKEUP_LACKS = (
    "LOOK_FIRST",
    "TAKE_AFTER_LOOK",
    "COUNT_WOKEN",
    "NO_HAND_ON",
    "FORGET_WOKEN",
    "NO_OFFER_AT_ABORT",
    "WAKE_BEFORE_COMMIT",
    "NO_EXPECT",
    "PREPARED",
)


@dataclass(frozen=True)
class Search:
    """A model with its settings, and what is to be found in it."""

    name: str
    model: str
    defines: tuple[str, ...]
    #: of linear temporal logic, under weak fairness; else assertions and end states
    formula: str = ""
    #: what is wrong with it; nothing is if this is empty
    finds: str = ""


def searches(deep: bool) -> list[Search]:
    """Return all, those that take longest first."""
    found = [
        Search("wakeup", "wakeup", ()),
        Search("protocol, crashes", "protocol", CRASHES),
        Search("protocol, operators", "protocol", STOPS),
        Search("wakeup, awake", "wakeup", ("-DROLLBACKS=0",), "awake"),
        Search(
            "wakeup, awake by polling",
            "wakeup",
            ("-DROLLBACKS=0", "-DPREPARED", "-DPOLL"),
            "awake",
        ),
        Search("protocol, done", "protocol", SMALL, "done"),
    ]
    for name, (defines, finds) in PROTOCOL_LACKS.items():
        found.append(
            Search(f"protocol, {name}", "protocol", (*defines, f"-D{name}"), "", finds)
        )
    for name in WAKEUP_LACKS:
        found.append(Search(f"wakeup, {name}", "wakeup", (f"-D{name}",), "", LOST))
    found.append(
        Search(
            "wakeup, awake without polling",
            "wakeup",
            ("-DROLLBACKS=0", "-DPREPARED"),
            "awake",
            "acceptance cycle",
        )
    )
    found.append(
        Search(
            "protocol, done, NO_REDELIVERY",
            "protocol",
            (*SMALL, "-DNO_REDELIVERY"),
            "done",
            "acceptance cycle",
        )
    )
    if deep:
        found.append(
            Search(
                "protocol, deep",
                "protocol",
                ("-DITEMS=2", "-DACCIDENTS=1", "-DEXPIRIES=1", "-DOPERATIONS=1"),
            )
        )
    return found


def run(search: Search, directory: Path) -> str:
    """Search; return what is found, and in how many states."""
    place = directory / re.sub(r"\W+", "_", search.name)
    place.mkdir()

    def call(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode and command[0] != "./pan":
            raise RuntimeError(f"{command[0]} failed: {done.stdout[-2000:]}")
        return done.stdout

    call("spin", *search.defines, "-a", str(HERE / f"{search.model}.pml"))
    # to compile well takes longer than to search a little
    options = ["-w", "-O0" if search.finds or search.formula else "-O2", "-DNFAIR=3"]
    if not search.formula:
        options += ["-DSAFETY", "-DNOCLAIM"]
    call("gcc", *options, "-o", "pan", "pan.c")
    arguments = ["-m1000000"]
    if search.formula:
        arguments += ["-A", "-E", "-a", "-f", "-N", search.formula]
    return call("./pan", *arguments)


def judge(search: Search, output: str) -> str:
    """Return what is wrong; nothing if this is empty."""
    problems = re.findall(r"^pan:1: (.*)", output, re.MULTILINE)
    if "errors: " not in output or "max search depth too small" in output:
        return output[-2000:]
    if not search.finds:
        if "Search not completed" in output or "errors: 0" not in output:
            return "; ".join(problems) or output[-2000:]
    elif not problems:
        return "nothing is found"
    elif not re.search(search.finds, problems[0]):
        return f"found {problems[0]}, not {search.finds}"
    return ""


def trace(arguments: list[str]) -> tuple[int, int]:
    """Hold a server against the rules; return how many checks passed and failed."""
    done = subprocess.run(
        [sys.executable, str(HERE / "trace.py"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    print(done.stdout.rpartition("1..")[0], end="")
    counts = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
    return (int(counts[1]), int(counts[2])) if counts else (0, 1)


def main() -> int:
    """Search all that is asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="searches with this in their name")
    parser.add_argument("--deep", action="store_true", help="a larger one, too")
    options, of_trace = parser.parse_known_args()
    wanted = [
        search
        for search in searches(options.deep)
        if not options.names or any(name in search.name for name in options.names)
    ]
    traced = not options.names or "trace" in options.names
    if of_trace and not traced:
        parser.error(f"unknown: {' '.join(of_trace)}")
    failed = 0 if wanted or traced else 1
    passed = 0
    whole: list[int] = []

    def attempt(search: Search) -> tuple[str, str, float]:
        began = time.monotonic()
        try:
            output = run(search, Path(directory))
            problem = judge(search, output)
        except RuntimeError as error:
            output, problem = "", str(error)
        states = re.search(r"(\d+) states, stored", output)
        if states and not search.finds:
            whole.append(int(states[1]))
        what = f"{states[1] if states else '?'} states"
        if search.finds and not problem:
            found = re.search(r"^pan:1: (.{,60})", output, re.MULTILINE)
            what += f", refused: {found[1] if found else '?'}"
        return what, problem, time.monotonic() - began

    with (
        tempfile.TemporaryDirectory(prefix="tcp.") as directory,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        for search, (what, problem, took) in zip(wanted, pool.map(attempt, wanted)):
            failed += bool(problem)
            passed += not problem
            print(f"{'not ' * bool(problem)}ok - {search.name}: {what}, {took:.1f} s")
            for line in problem.splitlines():
                print(f"# {line}")
    # for docs/reliability.md
    if not options.names and not failed:
        print(
            f"# figure proof: {sum(whole)} states in {len(whole)} searches, in which all holds;"
            f" {len(wanted) - len(whole)} times a rule is left out, and missed"
        )
    if traced:
        more, bad = trace(of_trace)
        passed += more
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
