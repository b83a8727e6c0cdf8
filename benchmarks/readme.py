"""`python -m benchmarks.readme`: the README's table of figures, written from `results/`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import bars, result
from benchmarks.bars import Bar, Plan
from benchmarks.report import SIGNS
from benchmarks.result import Result, Row

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


def main() -> int:
    """Rewrite what stands between the markers."""
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + block(bars.load(), result.read(result.FOLDER)) + after)
    return 0


def block(plans: Mapping[str, Plan], results: Mapping[str, Result]) -> str:
    """Markers, table, and what is missed in a sentence."""
    lines = ["| claim | due | measured | spread | met |", "|---|---|---|---|---|"]
    missed = []
    for bench, plan in plans.items():
        rows = {row.name: row for row in results[bench].rows} if bench in results else {}
        for bar in plan.bars:
            lines.append(_line(bar, rows.get(bar.name)))
            if bar.name not in rows or not rows[bar.name].met:
                missed.append(bar.claim)
    machines = sorted({f"{one.machine.cores} shared cores of {one.machine.cpu}" for one in results.values()})
    told = "Missed: " + "; ".join(missed) + "." if missed else "No bar is missed."
    return BEGIN + "\n".join([*lines, "", f"Measured on {' and '.join(machines)}. {told}"]) + "\n" + END


def _line(bar: Bar, row: Row | None) -> str:
    due = f"{SIGNS[bar.direction]} {bar.bar:,g} {bar.measure}" + (f" (aim {bar.aim:,g})" if bar.aim is not None else "")
    if row is None:
        return f"| {bar.claim} | {due} | – | – | **not measured** |"
    low, high = row.spread
    met = "yes" if row.met else "**no**"
    return f"| {bar.claim} | {due} | {_figure(row.figure)} | {_figure(low)} to {_figure(high)} | {met} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
