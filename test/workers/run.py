"""Tests of workers in several languages against a private server.

    run.py scenarios [--languages LIST] [--only TEXT]
    run.py chaos [--languages LIST] [--seed N] [--seconds S]
    run.py queues [--languages LIST] [--seed N]
    run.py job [--languages LIST] [--seed N] [--rows N]
    run.py load [--only TEXT]
    run.py all

README.md says more.  The last line counts checks.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

from harness import (
    chaos,
    job,
    load,
    pool,
    programs,
    queues,
    scenarios,
    situations,
)
from harness.instance import Instance
from harness.report import Report

# wake-ups by the background worker; elsewhere they are in the transaction
PRELOADED = "shared_preload_libraries = 'tasker_checkpoint'\n"

TURMOILS = ("chaos", "queues")
ROWS = {"job": 5_000_000, "all": 20_000}


def build(
    names: list[str], directory: Path, report: Report
) -> list[programs.Language]:
    """Build the worker programs; one that can't be is a failed check."""
    languages = []
    for name in names:
        try:
            languages.append(programs.prepare(name, directory))
        except (OSError, RuntimeError) as error:
            report.check(f"{name}: worker program", str(error).splitlines())
    return languages


def run_scenarios(
    instance: Instance,
    languages: list[programs.Language],
    report: Report,
    only: str,
) -> None:
    """Run the languages side by side: most of the time is waiting."""

    def run_language(language: programs.Language) -> None:
        try:
            scenarios.run(instance, language, report, only)
            situations.run(instance, language, report, only)
        except Exception:
            report.crashed(language.name)

    threads = [
        threading.Thread(target=run_language, args=[language], daemon=True)
        for language in languages
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(options: argparse.Namespace, report: Report) -> None:
    """Run what was asked for."""
    wanted = {options.part}
    if options.part == "all":
        wanted = {"scenarios", "load"}
        wanted |= {
            part for part in (*TURMOILS, "job") if options.only in part
        }
    with tempfile.TemporaryDirectory(prefix="tcw.") as directory:
        languages = []
        if wanted != {"load"}:
            names = options.languages or programs.available()
            languages = build(names, Path(directory), report)
        if wanted & {"scenarios", "load"}:
            with Instance() as instance:
                if "scenarios" in wanted:
                    run_scenarios(instance, languages, report, options.only)
                if "load" in wanted:
                    load.run(instance, report, options.only)
        if not options.languages:
            languages = [each for each in languages if each.is_its_own]
        if "job" in wanted and languages:
            with Instance(PRELOADED) as instance:
                rows = options.rows or ROWS[options.part]
                job.run(instance, languages, report, options.seed, rows)
        for name in TURMOILS:
            if name in wanted and languages:
                with Instance(PRELOADED) as instance:
                    make_turmoil(name, instance, languages, report, options)


def make_turmoil(
    name: str,
    instance: Instance,
    languages: list[programs.Language],
    report: Report,
    options: argparse.Namespace,
) -> None:
    """Let happen to a pool what is called by that name."""
    names = ",".join(language.name for language in languages)
    report.note(f"{name}: seed {options.seed}, {names}")
    if name == "chaos":
        turmoil: pool.Turmoil = chaos.Chaos(
            instance, languages, options.seed, options.seconds
        )
    else:
        turmoil = queues.Queues(instance, languages, options.seed)
    pool.run(turmoil, report)


def main() -> int:
    """Run the tests; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "part",
        choices=["scenarios", "chaos", "queues", "job", "load", "all"],
    )
    parser.add_argument(
        "--languages",
        type=lambda text: text.split(","),
        help="default: all that have a worker program",
    )
    parser.add_argument("--only", default="", help="checks with this in them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rows", type=int, help="of the job")
    options = parser.parse_args()
    return programs.conduct("tests", lambda report: run(options, report))


if __name__ == "__main__":
    sys.exit(main())
