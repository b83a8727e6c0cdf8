"""`python -m benchmarks.report`: every bar with its figure as one table; 1 when one is missed or was not measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import bars, result
from benchmarks.bars import Plan
from benchmarks.result import Result, Row

SIGNS = {"at_least": "≥", "at_most": "≤"}


def main(folder: Path = result.FOLDER) -> int:
    """Print the table; the exit status."""
    plans, results = bars.load(), result.read(folder)
    console = Console(width=max(100, Console().width))
    console.print(_table(plans, results))
    for one in results.values():
        console.print(
            f"{one.bench}: {one.at:%Y-%m-%d %H:%M} UTC, commit {one.commit}, {_machine(one)}", highlight=False
        )
        for row in one.rows:
            console.print(f"  {row.name}: {row.note}", highlight=False, style="dim")
    faults = failures(plans, results)
    for fault in faults:
        console.print(fault, style="bold red", highlight=False)
    return 1 if faults else 0


def failures(plans: Mapping[str, Plan], results: Mapping[str, Result]) -> list[str]:
    """A sentence for each bar that is missed, not measured, or measured against another bar than `bars.toml` says."""
    found = []
    for bench, plan in plans.items():
        rows = {row.name: row for row in results[bench].rows} if bench in results else {}
        for bar in plan.bars:
            row = rows.get(bar.name)
            if row is None:
                found.append(f"{bar.name} was not measured: run `python -m benchmarks.run {bench}`")
            elif (row.bar, row.unit, row.peer) != (bar.bar, bar.unit, bar.peer):
                found.append(
                    f"{bar.name} was measured against {row.bar:g} {_measure(row)}, the bar is {bar.bar:g} {bar.measure}"
                )
            elif not (row.met and bar.met(row.figure)):
                found.append(
                    f"{bar.name} is missed: {row.figure:g} {bar.measure}, {SIGNS[bar.direction]} {bar.bar:g} is due"
                )
    return found


def line_of(row: Row) -> str:
    """A figure in one line."""
    low, high = row.spread
    verdict = "met" if row.met else "MISSED"
    return f"{row.name}: {row.figure:g} {_measure(row)} ({low:g} to {high:g}), bar {row.bar:g}: {verdict}; {row.note}"


def _measure(row: Row) -> str:
    """As `Bar.measure`, with both figures behind it."""
    return row.unit if row.peer is None else f"times {row.peer} ({row.ours:g} : {row.theirs:g} {row.unit})"


def _table(plans: Mapping[str, Plan], results: Mapping[str, Result]) -> Table:
    table = Table(title="Candlemaker's bars")
    for column in ("bench", "bar", "due", "ours", "spread", "unit", "met"):
        table.add_column(column, justify="right" if column in {"due", "ours", "spread"} else "left")
    for bench, plan in plans.items():
        rows = {row.name: row for row in results[bench].rows} if bench in results else {}
        for bar in plan.bars:
            row = rows.get(bar.name)
            figures = (f"{row.figure:g}", "{:g} to {:g}".format(*row.spread)) if row else ("–", "–")
            met = ("yes" if row.met else "NO") if row else "not measured"
            table.add_row(bench, bar.name, f"{SIGNS[bar.direction]} {bar.bar:g}", *figures, bar.measure, met)
    return table


def _machine(one: Result) -> str:
    machine = one.machine
    return f"{machine.cores} cores of {machine.cpu}, {machine.memory_gb:g} GB, Python {machine.python}"


if __name__ == "__main__":
    sys.exit(main())
