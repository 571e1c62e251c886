"""Draw the charts, diagrams and tables of the notebooks in this folder.

The notebooks show what the package does; this module keeps matplotlib out of their way. Each function displays a
picture together with a text for those who do not see it.
"""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from itertools import pairwise
from textwrap import fill

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter
from pandas import isna
from pandas.api.types import is_numeric_dtype

BLUE, GREEN, YELLOW, GREY = "#4269d0", "#3ca951", "#efb118", "#bbbbbb"
PLAIN_NUMBERS = FuncFormatter(lambda value, _: f"{value:g}")


def png(figure):
    """Return a figure as the base64 text of a PNG file, and close it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def show(image, alt):
    """Display a PNG file in base64 with a text for those who do not see it."""
    display({"image/png": image, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)


def table(frame):
    """Display a data frame: texts on the left of their columns, numbers on the right, `-` for a missing value."""
    html, lines = "", [""] * (len(frame) + 1)
    columns = []
    for name in frame:
        cells = [name, *("-" if isna(value) else str(value) for value in frame[name])]
        columns.append((cells, "right" if is_numeric_dtype(frame[name]) else "left", max(map(len, cells))))
    for row in range(len(frame) + 1):
        tag = "td" if row else "th"
        html += "<tr>"
        for cells, side, width in columns:
            html += f'<{tag} style="text-align: {side}">{escape(cells[row])}</{tag}>'
            lines[row] += f"{cells[row]:{'>' if side == 'right' else '<'}{width}}  "
        html += "</tr>"
    text = "\n".join(line.rstrip() for line in lines)
    display({"text/html": f"<table>{html}</table>", "text/plain": text}, raw=True)


# Notebook 01


def bars(values, title, unit):
    """Return the PNG file of a bar chart, one bar for each name."""
    figure, axes = plt.subplots(figsize=(4.5, 2))
    axes.barh(list(values)[::-1], list(values.values())[::-1], color=BLUE)
    axes.set(title=title, xlabel=unit)
    return png(figure)


# Notebook 03

LANES = {"you": "#e8e8e8", "plan": "#cfe0ff", "code": "#d3f0d0", "tool": "#ffe6b8"}


def diagram(steps, title):
    """Display the steps of a run, pairs of a lane and a text, from top to bottom."""
    lanes = [lane for lane in LANES if lane in dict(steps)]
    figure, axes = plt.subplots(figsize=(9.5, 0.7 * len(steps) + 1))
    axes.set(xlim=(-0.5, len(lanes) - 0.5), ylim=(len(steps) - 0.4, -1.3), title=title)
    axes.axis("off")
    boxes = []
    for place, lane in enumerate(lanes):
        axes.vlines(place, -0.9, len(steps) - 0.5, color="#cccccc", zorder=0)
        name = f"model, mode {lane}" if lane in ("plan", "code") else lane
        axes.text(place, -1.1, name, ha="center", weight="bold")
    for number, (lane, text) in enumerate(steps):
        style = {"boxstyle": "round", "facecolor": LANES[lane], "edgecolor": "#888888"}
        words = fill(text, 28)
        boxes.append(axes.text(lanes.index(lane), number, words, ha="center", va="center", fontsize=9, bbox=style))
    for one, other in pairwise(boxes):
        ends = {"patchA": one.get_bbox_patch(), "patchB": other.get_bbox_patch(), "shrinkA": 2, "shrinkB": 2}
        arrow = {"arrowstyle": "-|>", "color": "#555555", **ends}
        axes.annotate("", other.get_position(), one.get_position(), arrowprops=arrow)
    show(png(figure), f"{title}: " + "; ".join(f"{lane}: {text}" for lane, text in steps))


# Notebook 04


def prices_and_windows(paid, best, source):
    """Display the prices and the context windows of models; only the best ones have a name."""
    figure, axes = plt.subplots(figsize=(9, 4.5))
    axes.scatter(paid.prompt_price, paid.context_length, color=GREY, label="others")
    axes.scatter(best.prompt_price, best.context_length, color=BLUE, label="largest window for the price")
    for model in best.itertuples():
        where = {"xytext": (-3, -18), "textcoords": "offset points", "fontsize": 9, "ha": "left"}
        axes.annotate(model.id, (model.prompt_price, model.context_length), **where)
    axes.set(
        xscale="log",
        yscale="log",
        title=f"Price against context window of {len(paid)} paid models ({source})",
        xlabel="USD per million prompt tokens (log scale)",
        ylabel="context window in tokens (log scale)",
    )
    axes.xaxis.set_major_formatter(PLAIN_NUMBERS)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks([125_000, 250_000, 500_000, 1_000_000])
    axes.legend(loc="lower right")
    text = "Scatter plot of prompt price against context window. Best for their price: " + ", ".join(best.id)
    show(png(figure), text)


def windows(free, source):
    """Display the context windows of free models, with a note where prompts may be used for training."""
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(free) + 0.8))
    drawn = axes.barh(free.id, free.context_length / 1000, color=GREEN)
    notes = [" may train on prompts" if trains else "" for trains in free.may_train_on_prompts]
    axes.bar_label(drawn, notes, fontsize=9)
    axes.set(title=f"Free models ({source})", xlabel="context window in thousand tokens")
    axes.margins(x=0.35)
    show(png(figure), "Bar chart of the context windows of the free models: " + ", ".join(free.id[::-1]))


def price_ranges(vendors, source):
    """Display the range of prices of each vendor, with its number of models."""
    figure, axes = plt.subplots(figsize=(9, 0.4 * len(vendors) + 0.8))
    axes.hlines(vendors.index, vendors.low, vendors.high, color=BLUE, linewidth=2)
    axes.scatter(vendors.low, vendors.index, color=BLUE)
    axes.scatter(vendors.high, vendors.index, color=BLUE)
    for name, high, count in zip(vendors.index, vendors.high, vendors["count"], strict=True):
        axes.annotate(count, (high, name), xytext=(8, -3), textcoords="offset points", fontsize=9)
    axes.set(
        xscale="log",
        title=f"Completion prices and number of models by vendor ({source})",
        xlabel="USD per million completion tokens (log scale)",
    )
    axes.xaxis.set_major_formatter(PLAIN_NUMBERS)
    ranges = "; ".join(f"{vendor.Index} {vendor.low:g} to {vendor.high:g} USD" for vendor in vendors.itertuples())
    show(png(figure), f"Ranges of completion prices: {ranges}")


def limits_and_costs(names, limits, costs, source):
    """Display for each model the highest cost that was estimated and the cost that was paid, for 1000 runs."""
    limits, costs = [1000 * limit for limit in limits], [1000 * cost for cost in costs]
    figure, axes = plt.subplots(figsize=(9, 2.6))
    axes.barh(names, limits, color="#dddddd", label="estimate, at most")
    drawn = axes.barh(names, costs, color=BLUE, label="paid")
    axes.bar_label(drawn, [f" {cost:.2f}" for cost in costs], fontsize=9)
    axes.set(title=f"A thousand runs of one question ({source})", xlabel="USD per 1000 runs")
    axes.legend(loc="lower right")
    paid = "; ".join(f"{name} {cost:.2f}" for name, cost in zip(names, costs, strict=True))
    show(png(figure), f"USD per 1000 runs: {paid}")


# Notebook 05


def compare_tiers(summary, intervals, title):
    """Display quality, time, tokens and cost of each tier side by side; `intervals` are those of the quality."""
    right = 100 * summary.right
    errors = [
        [share - 100 * low for share, (low, _) in zip(right, intervals, strict=True)],
        [100 * high - share for share, (_, high) in zip(right, intervals, strict=True)],
    ]
    panels = [
        ("Quality", "right answers in %,\nlines: 95 % interval", right, errors),
        ("Time", "median seconds an answer", summary.seconds, None),
        ("Tokens", "mean tokens an answer", summary.tokens, None),
        ("Cost", "USD per 1000 answers", summary.usd_per_1000, None),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(12, 3), sharey=True, layout="constrained")
    for place, (name, unit, values, error) in zip(axes, panels, strict=True):
        drawn = place.barh(summary.index, values, xerr=error, capsize=3, color=[GREEN, YELLOW, BLUE, "#a463f2"])
        # The label is at the foot of a bar of quality, because the line of the interval covers its end.
        labels = [f"{value:.3g}" for value in values]
        if error:
            for label, bar in zip(labels, drawn, strict=True):
                middle = bar.get_y() + bar.get_height() / 2
                place.text(3, middle, label, va="center", fontsize=9, color="white")
        else:
            place.bar_label(drawn, labels, fontsize=9, padding=3)
        place.set(title=name, xlabel=unit)
        place.margins(x=0.3)
        place.locator_params(axis="x", nbins=4)
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, 110)
    figure.suptitle(title)
    figures = "; ".join(
        f"{tier.Index}: {tier.right:.0%} right, {tier.seconds:.3f} s, {tier.tokens:.0f} tokens, "
        f"{tier.usd_per_1000:.3f} USD per 1000"
        for tier in summary.itertuples()
    )
    show(png(figure), f"Four bar charts by tier, {title}. {figures}")


# Notebook 08


def time_line(steps, source):
    """Display when each step of a run began, sent its first token and ended; a tool has no first token."""
    colours = {"waits for the first token": YELLOW, "writes": BLUE, "tool": GREEN}
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(steps) + 1))
    for row in steps.itertuples():
        first = row.ended if isna(row.first) else row.first
        waits = "tool" if row.step.startswith("tool") else "waits for the first token"
        axes.barh(row.Index, first - row.began, left=row.began, color=colours[waits])
        axes.barh(row.Index, row.ended - first, left=first, color=colours["writes"])
    axes.set_yticks(steps.index, steps.step)
    axes.invert_yaxis()
    axes.set(title=f"One run of an agent ({source})", xlabel="seconds since its first call")
    axes.legend([Patch(color=colour) for colour in colours.values()], colours, loc="upper left", bbox_to_anchor=(1, 1))
    durations = "; ".join(f"{row.step} {row.ended - row.began:.2f} s" for row in steps.itertuples())
    show(png(figure), f"Time line of one run ({source}), in order: {durations}")
