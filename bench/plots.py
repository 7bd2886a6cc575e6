"""Plots of the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.memory import OTHER_TASKS, UNCOMPRESSED
from bench.targets import AFTER_LEASE, Results

_TURNWISE, _SDK, _GREY, _INK = "#0f766e", "#d97706", "#94a3b8", "#1e293b"

_STYLE: Any = {
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": "#cbd5e1",
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "xtick.color": "#475569",
    "ytick.color": "#475569",
    "grid.color": "#e2e8f0",
    "savefig.dpi": 160,
    "savefig.facecolor": "white",
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw the plots of the parts that were measured: turns, throughput and takeover."""
    plots = {
        "turns.png": (_turns, {"turns"}),
        "throughput.png": (_throughput, {"chat", "memory"}),
        "takeover.png": (_takeovers, {"takeover"}),
    }
    with mpl.rc_context(_STYLE):
        return [
            plot(results, folder / name)
            for name, (plot, parts) in plots.items()
            if parts <= set(results)
        ]


def _turns(results: Results, path: Path) -> Path:
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    lengths = [int(length) for length in results["turns"]]
    # A logarithmic axis has no zero; it is drawn at one.
    positions = [max(length, 1) for length in lengths]
    for name, label, colour in (
        ("sdk", "SDK RedisSession", _SDK),
        ("turnwise", "Turnwise", _TURNWISE),
        ("ping", "PING", _GREY),
    ):
        _line(axes, positions, [found[name] for found in results["turns"].values()], label, colour)
    axes.set(xscale="log", yscale="log", xlim=(0.8, positions[-1] * 1.25))
    axes.set_xticks(positions, [f"{length:,}" for length in lengths])
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y")
    axes.set_title("Session cost of one turn in a run (ms)")
    axes.set_xlabel("items in the history")
    figure.savefig(path)
    return path


def _line(
    axes: Axes,
    positions: Sequence[int],
    found: Sequence[dict[str, float]],
    label: str,
    colour: str,
) -> None:
    medians = [sample["median"] for sample in found]
    dashes = "--" if label == "PING" else "-"
    axes.plot(positions, medians, dashes, marker="o", markersize=5, linewidth=2, color=colour)
    low, high = [sample["q1"] for sample in found], [sample["q3"] for sample in found]
    axes.fill_between(positions, low, high, color=colour, alpha=0.15, linewidth=0)
    text = f"{label}  {medians[-1]:.2g} ms"
    axes.annotate(
        text,
        (positions[-1], medians[-1]),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        fontweight="bold",
        annotation_clip=False,
    )


def _throughput(results: Results, path: Path) -> Path:
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(4, 3))
    chat, memory = results["chat"], results["memory"]
    labels = {"none": "no session", "list": "list in the process", "turnwise": "Turnwise"}
    _bars(
        above,
        [*labels.values(), "SDK RedisSession"],
        [chat[name]["rate"]["median"] for name in (*labels, "sdk")],
        [_chat_text(chat[name]) for name in (*labels, "sdk")],
        [_GREY, _GREY, _TURNWISE, _SDK],
    )
    above.set_title("Chat requests per second of one FastAPI process (more is better)")
    names = {
        "sdk": "SDK RedisSession",
        UNCOMPRESSED: "Turnwise, uncompressed",
        OTHER_TASKS: "Turnwise",
    }
    _bars(
        below,
        list(names.values()),
        [100 * memory[name]["share"] for name in names],
        [f"{memory[name]['share']:.0%}" for name in names],
        [_SDK, _GREY, _TURNWISE],
    )
    below.set_title("Redis memory of real conversations with tool calls (less is better)")
    figure.savefig(path)
    return path


def _chat_text(found: Results) -> str:
    return f"{found['rate']['median']:,.0f}  ({found['share']['median']:.0%})"


def _bars(
    axes: Axes,
    labels: Sequence[str],
    values: Sequence[float],
    texts: Sequence[str],
    colours: Sequence[str],
) -> None:
    bars = axes.barh(labels, values, color=colours, height=0.66)
    axes.bar_label(bars, texts, padding=6)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.18)
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _takeovers(results: Results, path: Path) -> Path:
    leases = results["takeover"]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    panels = figure.subplots(1, len(leases), squeeze=False)[0]
    for axes, (lease, samples) in zip(panels, leases.items(), strict=True):
        for (name, sample), (colour, dashes) in zip(samples.items(), _CURVES, strict=True):
            values = sample["values"]
            shares = [(number + 1) / len(values) for number in range(len(values))]
            axes.step(values, shares, dashes, where="post", color=colour, linewidth=2, label=name)
        for seconds, text in ((float(lease), "lease"), (float(lease) + AFTER_LEASE, "target")):
            axes.axvline(seconds, color=_GREY, linestyle=":")
            axes.annotate(text, (seconds, 0.02), rotation=90, ha="right", va="bottom", color=_GREY)
        axes.set(xlim=(0, float(lease) + 1.5), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_title(f"Taken over, lease of {lease} s")
        axes.set_xlabel("seconds after SIGKILL of the worker")
    panels[0].legend(frameon=False, loc="upper left", fontsize=9)
    figure.savefig(path)
    return path


_CURVES = (_TURNWISE, "-"), (_TURNWISE, "--"), (_SDK, "-"), (_SDK, "--")
