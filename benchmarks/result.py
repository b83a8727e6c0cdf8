"""A bench's figures as they are written: `results/<bench>.json`."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.bars import Bar
from benchmarks.machine import Machine

FOLDER = Path(__file__).parent / "results"


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One figure. `ratio` is how many times better ours is than the peer's; a bar without a peer leaves those null.
    `spread` is the least and the greatest of the repeated measurements of the `figure`.
    """

    name: str
    unit: str
    ours: float
    peer: str | None = None
    peer_version: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    bar: float
    met: bool
    spread: tuple[float, float]
    note: str

    @property
    def figure(self) -> float:
        """What is held against the bar."""
        return self.ours if self.ratio is None else self.ratio


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bench on one machine."""

    bench: str
    at: datetime.datetime
    seed: int
    commit: str
    machine: Machine
    rows: list[Row]


def row(bar: Bar, values: Sequence[float], note: str, ours: float | None = None) -> Row:
    """The figure of a bar: the median of *values* unless *ours* is given (a worst case, a percentile of all)."""
    figure = statistics.median(values) if ours is None else ours
    return Row(
        name=bar.name,
        unit=bar.unit,
        ours=rounded(figure),
        bar=bar.bar,
        met=bar.met(figure),
        spread=(rounded(min(values)), rounded(max(values))),
        note=note,
    )


def compared(bar: Bar, ours: Sequence[float], theirs: Sequence[float], version: str, note: str) -> Row:
    """The figure of a bar against its peer: medians of rates measured by turns, and the turns' own ratios as spread."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    return msgspec.structs.replace(
        row(bar, ratios, note, ratio),
        ours=rounded(statistics.median(ours)),
        peer=bar.peer,
        peer_version=version,
        theirs=rounded(statistics.median(theirs)),
        ratio=rounded(ratio),
    )


def noted(row: Row, remark: str) -> Row:
    """The row with *remark* at the end of its note."""
    return msgspec.structs.replace(row, note=row.note + remark)


def rounded(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def write(result: Result, folder: Path = FOLDER) -> Path:
    """Write a result under its bench's name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.bench}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return path


def read(folder: Path = FOLDER) -> dict[str, Result]:
    """The results there are, by bench; raises `msgspec.ValidationError` for a file that is none."""
    found = [msgspec.json.decode(path.read_bytes(), type=Result) for path in sorted(folder.glob("*.json"))]
    return {result.bench: result for result in found}
