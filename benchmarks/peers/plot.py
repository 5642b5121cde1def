"""Draw the rates that ``beside_peers`` stored; run by the environment that has matplotlib.

``.work/peers/plot/bin/python -m benchmarks.peers.plot docs/images/benchmarks.svg``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.turns import KEPT

#: Colours that stand out from a white page and from a black one alike; the background is transparent.
TEXT, OURS, LIMIT, OTHERS = "#7b818a", "#2f81d7", "#b08632", "#8b929b"

Rates = dict[str, list[float]]


def rates(title: str) -> Rates:
    """Return each contender's rows per second in each round."""
    kept = json.loads((KEPT / f"{title.replace(' ', '-')}.json").read_text())
    return {name: [run["rows"] / run["seconds"] for run in runs] for name, runs in kept["results"].items()}


def draw(axes: Any, title: str, found: Rates) -> None:
    """Draw a bar for each contender, the fastest on top, with a line from its slowest round to its fastest."""
    names = sorted(found, key=lambda name: median(found[name]))
    middles = [median(found[name]) for name in names]
    colours = [OURS if name.startswith("ours") else LIMIT if name.startswith("raw") else OTHERS for name in names]
    axes.barh(names, middles, color=colours, height=0.62)
    axes.hlines(names, [min(found[name]) for name in names], [max(found[name]) for name in names], color=TEXT)
    furthest = max(max(found[name]) for name in names)
    for name, middle in zip(names, middles, strict=True):
        axes.text(max(found[name]) + furthest / 60, name, f"{middle:,.0f}", color=TEXT, fontsize=9, va="center")
    axes.set_title(title, loc="left", color=TEXT, fontsize=10)
    axes.set_xlim(0, furthest * 1.15)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelcolor=TEXT, labelsize=9)
    for side in axes.spines.values():
        side.set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw rows a second beside the peers.")
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    at_latency = rates("beside peers at 50 ms")
    one_worker = rates("beside peers at 0 ms")
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    heights = [len(at_latency), len(one_worker)]
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(7.5, 0.34 * sum(heights) + 0.9), height_ratios=heights, layout="constrained"
    )
    draw(upper, "Rows a second, 50 ms latency", at_latency)
    draw(lower, "Rows a second, no latency, one worker", one_worker)
    figure.savefig(asked.path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
