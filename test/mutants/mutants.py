"""Faults to be put into the source, from mutants.txt.

    mutants.py                 check that each still fits
    mutants.py --list          name, file, suite and test of each
    mutants.py --apply NAME    change the file, below the present directory

The last line of a check counts mutants.
"""

import re
import sys
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "mutants.txt"
KEYS = ["name", "file", "find", "put", "test"]


def read() -> dict[str, dict[str, str]]:
    """Return the mutants by name."""
    mutants = {}
    for part in TABLE.read_text().split("\n\n"):
        lines = [line for line in part.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        pairs = [line.split(":", 1) for line in lines]
        mutant = {key: value.removeprefix(" ") for key, value in pairs}
        if list(mutant) != KEYS or mutant["name"] in mutants:
            raise ValueError(f"{TABLE}: {lines[0]}")
        for key in ("find", "put"):
            mutant[key] = mutant[key].replace("\\n", "\n").replace("\\t", "\t")
        mutants[mutant["name"]] = mutant
    return mutants


def changed(mutant: dict[str, str]) -> str:
    """Return the file with the fault in it."""
    text = Path(mutant["file"]).read_text()
    if (found := text.count(mutant["find"])) != 1:
        raise ValueError(f"{mutant['name']}: stands {found} times in {mutant['file']}")
    return text.replace(mutant["find"], mutant["put"])


def is_there(test: str) -> bool:
    """Whether there is a test of that name."""
    suite, name = test.split()
    place = {
        "regress": "sql/{}.sql",
        "isolation": "test/isolation/specs/{}.spec",
        "server": "test/server/t/{}.pl",
    }
    return Path(place[suite].format(name)).exists()


def check() -> int:
    """Look whether all can be applied; return the exit status."""
    failed = 0
    mutants = read()
    for mutant in mutants.values():
        try:
            changed(mutant)
            problem = "" if is_there(mutant["test"]) else f"no {mutant['test']}"
        except (OSError, ValueError) as error:
            problem = str(error)
        failed += bool(problem)
        print(f"{'not ' * bool(problem)}ok - {mutant['name']} {problem}".rstrip())
    print(f"{len(mutants) - failed} passed, {failed} failed")
    return int(failed > 0)


def main() -> int:
    """Do what is asked for."""
    match sys.argv[1:]:
        case []:
            return check()
        case ["--list"]:
            for mutant in read().values():
                print(mutant["name"], mutant["file"], mutant["test"])
        case ["--apply", name]:
            mutant = read()[name]
            Path(mutant["file"]).write_text(changed(mutant))
        case _:
            print(re.sub(r"\n\n.*", "", __doc__ or "", flags=re.DOTALL))
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
