"""Draws docs/plots/ from the samples of the rows named, or of all rows."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from harness.results import read  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"
FOLDER = ROOT / "docs/plots"
COLORS = {
    "plain UPDATE": "#8c8c8c",
    "plain SQL": "#8c8c8c",
    "save": "#7fb0d8",
    "fenced save": "#3a7ab8",
    "yield": "#0b3d6e",
    "unfenced yield": "#0b3d6e",
    "notify off": "#7fb0d8",
    "notifier": "#0b3d6e",
    "NOTIFY": "#d0723a",
    "memory contexts": "#3a7ab8",
    "private memory": "#0b3d6e",
}
Samples = dict[str, dict[str, list[float]]]


def _samples(row: str, metric: str) -> Samples:
    """Return what was measured, by series and x."""
    found: Samples = defaultdict(lambda: defaultdict(list))
    for line in read(RESULTS / f"{row}.csv"):
        if line["metric"] == metric:
            found[line["series"]][line["x"]].append(float(line["value"]))
    return found


def _bars(axes: Axes, samples: Samples, names: list[str]) -> None:
    """Draw medians side by side, with the quartiles."""
    places = list(samples[names[0]])
    width = 0.8 / len(names)
    for n, name in enumerate(names):
        quartiles = [
            statistics.quantiles(samples[name][x], n=4, method="inclusive")
            if len(samples[name][x]) > 1
            else samples[name][x] * 3
            for x in places
        ]
        axes.bar(
            [
                i + (n - (len(names) - 1) / 2) * width
                for i in range(len(places))
            ],
            [q[1] for q in quartiles],
            width,
            label=name,
            color=COLORS[name],
            yerr=[
                [q[1] - q[0] for q in quartiles],
                [q[2] - q[1] for q in quartiles],
            ],
            error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
        )
    axes.set_xticks(range(len(places)), places)


def _cost(row: str, metric: str, unit: str) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        samples = _samples(row, metric)
        _bars(axes, samples, ["plain UPDATE", "save", "fenced save", "yield"])
        axes.set_yscale("log")
        axes.set_xlabel("entries in the history")
        axes.set_ylabel(unit)

    return draw


def _growth(axes: Axes) -> None:
    samples = _samples("growth", "cpu")
    for series, name in (
        ("unfenced yield", "yield"),
        ("plain SQL", "plain SQL"),
    ):
        curve = samples[series]
        axes.plot(
            [int(x) for x in curve],
            [statistics.median(values) / 1000 for values in curve.values()],
            label=name,
            color=COLORS[name],
        )
    axes.set_yscale("log")
    axes.set_xlabel("yields of the step so far")
    axes.set_ylabel("ms of CPU a yield")


def _rates(row: str, names: list[str], what: str) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        samples = _samples(row, "per second")
        _bars(axes, {name: samples[name] for name in names}, names)
        axes.set_xlabel(what)
        axes.set_ylabel("a second")

    return draw


def _latency(axes: Axes) -> None:
    for name, by_rank in _samples("latency", "ms").items():
        delays = sorted(
            value for values in by_rank.values() for value in values
        )
        share = [(n + 1) / len(delays) for n in range(len(delays))]
        axes.plot(delays, share, label=name, color=COLORS[name])
    axes.set_xlabel("ms from the commit to the listener's wake-up")
    axes.set_ylabel("share of the wake-ups")


def _memory(axes: Axes) -> None:
    for name, curve in _samples("memory", "bytes").items():
        axes.plot(
            [int(x) for x in curve],
            [values[0] / 2**20 for values in curve.values()],
            marker="o",
            label=name,
            color=COLORS[name],
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("yields of the backend so far")
    axes.set_ylabel("MiB")


PLOTS: dict[str, Callable[[Axes], None]] = {
    "cpu": _cost("cpu", "cpu", "us of CPU"),
    "durable": _cost("durable", "wall", "us, the commit flushed"),
    "wal": _cost("wal", "wal", "bytes of WAL"),
    "growth": _growth,
    "memory": _memory,
    "workers": _rates(
        "workers",
        ["plain UPDATE", "notify off", "notifier", "NOTIFY"],
        "workers",
    ),
    "one_step": _rates(
        "one_step", ["plain UPDATE", "yield"], "writers of one step"
    ),
    "latency": _latency,
}


def main(names: list[str]) -> None:
    """Draw the plots of these rows; a row need not have one."""
    pyplot.rcParams.update(
        {
            "svg.fonttype": "none",
            # the same samples make the same file
            "svg.hashsalt": "tasker_checkpoint",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    for row, draw in PLOTS.items():
        if names and row not in names:
            continue
        figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
        draw(axes)
        axes.legend()
        figure.savefig(
            FOLDER / f"{row}.svg",
            facecolor="white",
            metadata={"Date": None, "Creator": None},
        )
        pyplot.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
