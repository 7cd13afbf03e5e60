"""Samples, figures and the machine, as CSV."""

import csv
import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path

from .measure import Figure
from .server import NOTIFIER, ROOT

RESULTS = ROOT / "bench/results"
SUMMARY = (
    "row",
    "figure",
    "bar",
    "value",
    "low",
    "high",
    "unit",
    "met",
    "date",
)
SAMPLES = ("series", "x", "sample", "metric", "value")

# runs everything for a moment only, to see that it runs
QUICK = bool(os.environ.get("QUICK"))


class Row:
    """Collects what one row of the benchmark has to say."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self._order = order
        self._samples: list[tuple[object, ...]] = []
        self._figures: list[tuple[object, ...]] = []

    def sample(
        self, series: str, x: object, sample: object, metric: str, value: float
    ) -> None:
        """Keep a measured value."""
        self._samples.append((series, x, sample, metric, f"{value:.6g}"))

    def figure(
        self,
        name: str,
        value: Figure,
        unit: str,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        """Keep a figure, and whether it is within its bar."""
        bar = met = ""
        if most is not None:
            bar = f"<= {most:g}"
            met = "yes" if value.value <= most else "no"
        if least is not None:
            bar = f">= {least:g}"
            met = "yes" if value.value >= least else "no"
        texts = [f"{v:.4g}" for v in (value.value, value.low, value.high)]
        if unit == "bytes" or abs(value.value) >= 1000:
            texts = [f"{v:.0f}" for v in (value.value, value.low, value.high)]
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        self._figures.append((self.name, name, bar, *texts, unit, met, date))
        spread = f"{texts[1]} to {texts[2]}"
        print(
            f"  {name}: {texts[0]} {unit} ({spread})"
            + (f", bar {bar}: {met}" if bar else ""),
            flush=True,
        )

    def write(self) -> None:
        """Write the samples, and replace the row's lines of the summary."""
        RESULTS.mkdir(exist_ok=True)
        _write(RESULTS / f"{self.name}.csv", SAMPLES, self._samples)
        kept = [
            tuple(line.values())
            for line in read(RESULTS / "summary.csv")
            if line["row"] != self.name
        ]
        # a row's figures keep their order
        lines = sorted(
            (line for line in kept + self._figures if line[0] in self._order),
            key=lambda line: self._order.index(str(line[0])),
        )
        _write(RESULTS / "summary.csv", SUMMARY, lines)


def _write(
    path: Path, header: tuple[str, ...], lines: list[tuple[object, ...]]
) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def read(path: Path) -> list[dict[str, str]]:
    """Return the lines of a file of ours, none if it is not there."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _first(path: str, pattern: str) -> str:
    match = re.search(pattern, Path(path).read_text(), re.M)
    return match[1].strip() if match else "unknown"


def _fsync() -> str:
    path = Path(os.environ["HOME"]) / "fsync.out"
    match = re.search(
        r"^\s*fdatasync .* (\d+) usecs/op", path.read_text(), re.M
    )
    return f"{match[1]} us" if match else "unknown"


def write_machine() -> None:
    """Say what the figures were measured on, without naming it."""
    with NOTIFIER.session("postgres") as session:
        version = session.value("SHOW server_version")
    commit = os.environ.get("BENCH_COMMIT", "unknown")
    memory = int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) / 1024 / 1024
    kernel = re.match(r"\d+\.\d+", platform.release())
    lines: list[tuple[object, ...]] = [
        ("CPU", _first("/proc/cpuinfo", r"^model name\s*:\s*(.*)")),
        ("cores", os.cpu_count()),
        ("memory", f"{memory:.0f} GiB"),
        ("system", _first("/etc/os-release", r'^PRETTY_NAME="(.*)"')),
        ("kernel", kernel[0] if kernel else "unknown"),
        ("PostgreSQL", version),
        ("compiler", os.environ.get("BENCH_COMPILER", "unknown")),
        ("one flush of the log (fdatasync)", _fsync()),
        ("commit", commit),
        ("date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
    ]
    RESULTS.mkdir(exist_ok=True)
    _write(RESULTS / "machine.csv", ("what", "value"), lines)
