"""Writes the figures of bench/results/ into docs/performance.md and README.md.

A table stands between "<!-- figures: WHAT -->" and "<!-- end -->". WHAT is

    machine             what it was measured on
    bars                every figure that has a bar
    interval            the best checkpoint interval
    short               what the README quotes
    ROW                 the figures of a row
    ROW by WORD         those named "…, WORD N" or "…, N WORD", a line for each N

A row that has no figures yet has no lines.
"""

import re
from math import sqrt
from pathlib import Path

from harness.results import read

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"
PAGES = (ROOT / "docs/performance.md", ROOT / "README.md")
SHORT = (
    (
        "a yield whose commit waits for the disk, against a plain UPDATE of the same document",
        "durable",
        "yield / plain UPDATE, history 100",
    ),
    (
        "WAL of a checkpoint under a claim at the defaults, ten entries of history kept",
        "defaults",
        "WAL of a fenced save",
    ),
    (
        "from the commit of a dispatch to the handler's start, 24 workers in Python waiting, p99",
        "pool",
        "p99, 24 processes of the client",
    ),
    (
        "cycles of claim and yield a second, of 800, in the tenth minute of a pg_dump",
        "horizon",
        "cycle, beside pg_dump, minute 10",
    ),
)
Line = dict[str, str]


def _table(header: list[str], lines: list[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _number(text: str, unit: str) -> str:
    """Return a figure as one reads it: 1234 -> 1,234, 0.12345 -> 0.123."""
    value = float(text)
    if unit == "x":
        return f"{value:.2f}×"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _value(line: Line) -> str:
    unit = {"x": "", "us": " µs"}.get(
        line["unit"], f" {line['unit']}".rstrip()
    )
    return _number(line["value"], line["unit"]) + unit


def _spread(line: Line) -> str:
    low, high = (_number(line[key], line["unit"]) for key in ("low", "high"))
    return "" if low == high else f"{low} to {high}"


def _bar(line: Line) -> str:
    if not line["bar"]:
        return ""
    sign, number = line["bar"].split()
    sign = {"<=": "≤", ">=": "≥"}[sign]
    return f"{sign} {_number(number, line['unit'])}"


def _machine() -> str:
    lines = read(RESULTS / "machine.csv")
    return _table(["", ""], [[line["what"], line["value"]] for line in lines])


def _bars(summary: list[Line]) -> str:
    return _table(
        ["row", "figure", "bar", "measured", "quartiles", "met"],
        [
            [f"`{line['row']}`", line["figure"], _bar(line), _value(line),
             _spread(line), line["met"]]
            for line in summary
            if line["bar"]
        ],
    )  # fmt: skip


def _row(lines: list[Line]) -> str:
    return _table(
        ["", "median", "quartiles"],
        [[line["figure"], _value(line), _spread(line)] for line in lines],
    )


def _pivot(lines: list[Line], word: str) -> str:
    pattern = re.compile(rf"(.*), (?:{word} (\d+)|(\d+) {word})$")
    cells: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in lines:
        if match := pattern.match(line["figure"]):
            column = match[1]
            if column not in columns:
                columns.append(column)
            cells.setdefault(match[2] or match[3], {})[column] = _value(line)
    return _table(
        [word, *columns],
        [[n, *(row.get(c, "") for c in columns)] for n, row in cells.items()],
    )


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"


def _interval(summary: list[Line]) -> str:
    """Show T = sqrt(2 c M), and the share of the time that it costs."""
    cost = {
        line["figure"]: float(line["value"]) / 1e6
        for line in summary
        if line["row"] == "durable"
    }["yield, history 100"]
    lines = []
    for name, mean in (
        ("10 minutes", 600),
        ("1 hour", 3600),
        ("1 day", 86400),
    ):
        best = sqrt(2 * cost * mean)
        lines.append(
            [
                name,
                _seconds(best),
                f"{best / mean:.2%}",
                f"{cost / 1 + 0.5 / mean:.2%}",
            ]
        )
    return _table(
        [
            f"a worker dies once in (c = {cost * 1000:.2g} ms)",
            "best interval",
            "cost of it",
            "cost at 1 s",
        ],
        lines,
    )


def _short(summary: list[Line]) -> str:
    figures = {(line["row"], line["figure"]): line for line in summary}
    return _table(
        ["", "", "measured again by"],
        [
            [text, _value(figures[row, figure]), f"`sh bench/run.sh {row}`"]
            for text, row, figure in SHORT
        ],
    )


def _figures(what: str, summary: list[Line]) -> str:
    if what == "short":
        return _short(summary)
    if what == "machine":
        return _machine()
    if what == "bars":
        return _bars(summary)
    if what == "interval":
        return _interval(summary)
    row, _, word = what.partition(" by ")
    lines = [line for line in summary if line["row"] == row]
    return _pivot(lines, word) if word else _row(lines)


def main() -> None:
    """Replace the tables."""
    summary = read(RESULTS / "summary.csv")
    for path in PAGES:
        page = re.sub(
            r"(<!-- figures: (.*?) -->\n).*?(<!-- end -->)",
            lambda match: f"{match[1]}{_figures(match[2], summary)}\n{match[3]}",
            path.read_text(),
            flags=re.S,
        )
        path.write_text(page)


if __name__ == "__main__":
    main()
