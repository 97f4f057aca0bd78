#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of docs/performance.md: plot.py RESULTS.json DIRECTORY [png].

Each row that has a picture becomes performance-ROW.svg, and .png too if asked for, to be looked at. Systems are drawn
by language, side by side, on the same axes. Ours are thick and blue, floors grey and dotted.
"""
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot, ticker  # noqa: E402 - the back end is chosen first

_GROUPS = ("C", "Go", "Python")
_OURS = ("#0b3d91", "#2f7ed8", "#7cb5ec", "#1c6ea4", "#5a9bd4")
_RIVALS = ("#d1495b", "#edae49", "#66a182", "#8d5a97", "#c46210", "#00798c", "#a3a500", "#e377c2", "#7f5539", "#2a9d8f")
_FLOORS = ("#222222", "#555555", "#777777", "#888888", "#999999", "#aaaaaa", "#b4b4b4")
_MARKERS = "osD^vP*Xh<>"


def _group(identity):
    """The panel of a system: what is neither Go nor Python is drawn with C."""
    language = identity.partition("/")[2]
    return language if language in _GROUPS else "C"


def _size(count, _=None):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            return f"{count:g} {unit}"
        count /= 1024


def _time(ns, _=None):
    for unit in ("ns", "µs", "ms"):
        if ns < 999.5:
            return f"{ns:.3g} {unit}"
        ns /= 1000
    return f"{ns:.3g} s"


def _rate(count, _=None):
    for unit in ("", " k", " M"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} G"


def _label_decades(axis, text):
    """Ticks of a logarithmic axis: more of them where there are few decades."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(ticker.FuncFormatter(text))
    axis.set_minor_formatter(ticker.NullFormatter())


class Results:
    """What a run came to, by rows."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self._all = json.load(file)
        self._systems = {system["id"]: system for system in self._all["systems"]}
        self._styles = self._choose_styles()

    def _choose_styles(self):
        """The same colour and marker for a system in all pictures."""
        styles, counts = {}, {}
        for identity, system in self._systems.items():
            palette = {"ours": _OURS, "floor": _FLOORS}.get(system["kind"], _RIVALS)
            at = counts.setdefault((system["kind"] in ("ours", "floor") and system["kind"], _group(identity)), [0])
            style = {"color": palette[at[0] % len(palette)], "marker": _MARKERS[at[0] % len(_MARKERS)], "markersize": 4,
                     "linewidth": 1.2, "linestyle": "-", "zorder": 2}
            if system["kind"] == "ours":
                style |= {"linewidth": 2.6, "zorder": 4, "markersize": 6}
            elif system["kind"] == "floor":
                style |= {"linestyle": ":", "zorder": 1}
            elif system["kind"] == "server":
                style |= {"linestyle": "--"}
            styles[identity] = style
            at[0] += 1
        return styles

    def style(self, identity):
        return self._styles[identity]

    def kind(self, identity):
        return self._systems[identity]["kind"]

    def label(self, identity):
        system = self._systems[identity]
        language = identity.partition("/")[2]
        text = system["label"] + (f" ({language})" if language not in _GROUPS else "")
        return text + (", server" if system["kind"] == "server" else "")

    def cases(self, row, placement=None):
        return [case for case in self._all["cases"]
                if case["row"] == row and placement in (None, case["setting"]["placement"])]

    def placements(self, row):
        return list(dict.fromkeys(case["setting"]["placement"] for case in self.cases(row)))

    def subtitle(self):
        machine = self._all["machine"]
        quick = "; a quick run" if self._all["quick"] else ""
        return f"{machine['cpu']}, {machine['cpus']} processors, Linux {machine['kernel']}{quick}"


def _curves(cases, where, value):
    """{system: [(x, y), ...]} of medians: where is x of a setting, value is y of a setting and a median."""
    curves = {}
    for case in cases:
        for series in case["series"]:
            if series.get("values"):
                point = (where(case["setting"]), value(case["setting"], statistics.median(series["values"])))
                curves.setdefault(series["id"], []).append(point)
    return {identity: sorted(points) for identity, points in curves.items()}


def _panels(results, curves, titles, save, title, y_label, x_label, x_format, y_format, x_ticks):
    """A picture with one panel for each language that has curves; floors are in each, to compare with."""
    groups = [group for group in _GROUPS
              if any(_group(i) == group and results.kind(i) != "floor" for i in curves)]
    if not groups:
        return
    figure, axes = pyplot.subplots(1, len(groups), figsize=(6.2 * len(groups), 5.6), sharey=True, squeeze=False)
    for axis, group in zip(axes[0], groups):
        shown = [i for i in curves if _group(i) == group or results.kind(i) == "floor"]
        shown.sort(key=lambda i: -curves[i][-1][1])
        for identity in shown:
            axis.plot(*zip(*curves[identity]), label=results.label(identity), **results.style(identity))
        axis.set(xscale="log", yscale="log", title=group if group != "C" else titles, xlabel=x_label)
        axis.set_xticks(x_ticks)
        axis.xaxis.set_major_formatter(ticker.FuncFormatter(x_format))
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        _label_decades(axis.yaxis, y_format)
        axis.tick_params(axis="x", labelrotation=45)
        axis.grid(True, which="major", color="#e4e4e4", linewidth=0.6)
        axis.legend(fontsize=7, loc="best", framealpha=0.6)
    axes[0][0].set_ylabel(y_label)
    figure.suptitle(f"{title}\n", fontweight="bold")
    figure.text(0.5, 0.925, results.subtitle(), ha="center", fontsize=8, color="#666666")
    save(figure)


def _sizes(results, row, placement, save, title, y_label, value, y_format):
    """Something against the size of messages."""
    cases = results.cases(row, placement)
    ticks = sorted({case["setting"]["size_bytes"] for case in cases})
    curves = _curves(cases, lambda setting: setting["size_bytes"], value)
    _panels(results, curves, "C and others", save, title, y_label, "size of a message", _size, y_format, ticks)


def _scaling(results, rows, save, title, y_label):
    """Something against the number of processes, on two processors."""
    cases = [case for row in rows for case in results.cases(row, "across")]
    ticks = sorted({case["setting"]["processes"] for case in cases})
    curves = _curves(cases, lambda setting: setting["processes"], lambda _, ns: ns)
    _panels(results, curves, "C and others", save, title, y_label, "processes on two processors",
            lambda count, _: f"{count:g}", _time, ticks)


def _bars(results, row, save, title, x_label, x_format):
    """One bar for each system; who never got there has one that does not end, with the limit."""
    bars = []
    for case in results.cases(row):
        for series in case["series"]:
            if series.get("values"):
                bars.append((statistics.median(series["values"]), series["id"], None))
            elif series.get("never"):
                bars.append((float("inf"), series["id"], series["counts"]["limit_s"]))
    if not bars:
        return
    bars.sort(key=lambda bar: (-bar[0], bar[1]))
    finite = [value for value, _, never_s in bars if never_s is None and value > 0]
    most = max(finite, default=1)
    figure, axis = pyplot.subplots(figsize=(9, 1.6 + 0.32 * len(bars)))
    for at, (value, identity, never_s) in enumerate(bars):
        color = results.style(identity)["color"]
        if never_s is not None:
            axis.barh(at, most * 1e6, color="white", edgecolor="#d1495b", hatch="///")
            axis.text(most, at, f"never within {never_s:g} s", va="center", ha="right", fontweight="bold", color="#d1495b",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        else:
            axis.barh(at, value, color=color)
            axis.text(value, at, f" {x_format(value)}", va="center", fontsize=8)
    labels = [f"{results.label(identity)} {'' if _group(identity) == 'C' else _group(identity)}"
              for _, identity, _ in bars]
    axis.set_yticks(range(len(bars)), labels, fontsize=8)
    axis.set_xscale("log")
    least = min(finite, default=1) / 2
    axis.set_xlim(least, most * (most / least) ** 0.25)
    _label_decades(axis.xaxis, x_format)
    axis.set_xlabel(x_label)
    axis.grid(True, axis="x", color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"{title}\n", fontweight="bold")
    axis.text(0.5, 1.02, results.subtitle(), transform=axis.transAxes, ha="center", fontsize=8, color="#666666")
    save(figure)


def _shapes(results, row, save, title):
    """Rates of several producers and consumers, by shape."""
    cases = results.cases(row, "across")
    sizes = sorted({case["setting"]["size_bytes"] for case in cases})
    if not sizes:
        return
    cases = [case for case in cases if case["setting"]["size_bytes"] == sizes[0]]
    shapes = [f"{case['setting']['producers']}x{case['setting']['consumers']}" for case in cases]
    identities = list(dict.fromkeys(s["id"] for case in cases for s in case["series"] if s.get("values")))
    figure, axis = pyplot.subplots(figsize=(11, 5))
    width = 0.85 / max(1, len(identities))
    for at, identity in enumerate(identities):
        rates = []
        for case in cases:
            values = [s["values"] for s in case["series"] if s["id"] == identity and s.get("values")]
            rates.append(1e9 / statistics.median(values[0]) if values else 0)
        group = _group(identity)
        axis.bar([i + at * width for i in range(len(cases))], rates, width, color=results.style(identity)["color"],
                 hatch={"Go": "//", "Python": ".."}.get(group), edgecolor="white",
                 label=f"{results.label(identity)} {'' if group == 'C' else group}")
    axis.set_xticks([i + 0.425 for i in range(len(cases))], shapes)
    axis.set(yscale="log", ylabel="messages a second", xlabel="producers x consumers")
    _label_decades(axis.yaxis, _rate)
    axis.grid(True, axis="y", color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(fontsize=8, bbox_to_anchor=(1.01, 1), loc="upper left")
    axis.set_title(f"{title}, {_size(sizes[0])}\n", fontweight="bold")
    axis.text(0.5, 1.02, results.subtitle(), transform=axis.transAxes, ha="center", fontsize=8, color="#666666")
    save(figure)


def draw(results, save_as):
    """save_as(row) is what keeps the picture of a row."""
    trip = "time there and back"
    for row, title in (("roundtrip-spin", "There and back, spinning, on two processors"),
                       ("roundtrip-block", "There and back, waiting, on two processors"),
                       ("roundtrip-one", "There and back, asleep, on one processor")):
        placement = "one" if row == "roundtrip-one" else "across"
        if results.cases(row, placement):
            _sizes(results, row, placement, save_as(row), title, trip, lambda _, ns: ns, _time)
    for row, title in (("oneway", "One way, one by one"), ("oneway-batch", "One way, 64 in a call")):
        if results.cases(row, "across"):
            _sizes(results, row, "across", save_as(row), title, "bytes a second",
                   lambda setting, ns: setting["size_bytes"] * 1e9 / ns, lambda rate, _: _rate(rate) + "B")
    for row, title in (("lock", "Lock and unlock"), ("semaphore", "Acquire and release")):
        contended = row + "-contended"
        if results.cases(contended, "across"):
            _scaling(results, (row, contended), save_as(contended), title, "time for one, all together")
    if results.cases("counter", "across"):
        _scaling(results, ("counter",), save_as("counter"), "Count", "time for one, all together")
    _shapes(results, "oneway-crowd", save_as("oneway-crowd"), "One way, several to several")
    _bars(results, "recovery", save_as("recovery"), "From SIGKILL of an owner until the next has the lock", "time",
          _time)
    _bars(results, "attach", save_as("attach"), "Open and close", "time", _time)
    _bars(results, "memory", save_as("memory"), "Memory for a small object", "KiB", lambda kib, _=None: f"{kib:.3g}" if kib < 999.5 else f"{kib:.0f}")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    suffixes = ["svg"] + sys.argv[3:]
    pyplot.rcParams.update({"svg.hashsalt": "shmd", "svg.fonttype": "path", "font.size": 10})

    def save_as(row):
        def save(figure):
            figure.tight_layout()
            for suffix in suffixes:
                metadata = {"Date": None} if suffix == "svg" else None  # the same results make the same file
                path = directory / f"performance-{row}.{suffix}"
                figure.savefig(path, dpi=110, metadata=metadata, bbox_inches="tight")
                if suffix == "svg":  # matplotlib leaves spaces at the ends of lines
                    path.write_text("".join(line.rstrip() + "\n" for line in path.read_text().splitlines()))
            pyplot.close(figure)
        return save

    draw(Results(sys.argv[1]), save_as)


if __name__ == "__main__":
    main()
