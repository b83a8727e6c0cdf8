"""`bars.toml` as checked values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

FILE = Path(__file__).parent / "bars.toml"


class Bar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure that is claimed; with a *peer*, how many times the peer's figure ours is, both in *unit*. An *aim* is
    what would be better still."""

    name: str
    unit: str
    bar: float
    direction: Literal["at_least", "at_most"]
    claim: str
    peer: str | None = None
    aim: float | None = None

    @property
    def measure(self) -> str:
        """What the bar counts."""
        return self.unit if self.peer is None else f"times {self.peer}"

    def met(self, figure: float) -> bool:
        """Whether *figure* is on the good side; exactly the bar is."""
        return figure >= self.bar if self.direction == "at_least" else figure <= self.bar


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one bench measures and under which load; *settings* are the engine's, by field name, or a peer's. One that
    takes longer than *longest_s* hangs.
    """

    about: str
    seed: int
    bars: list[Bar]
    workload: dict[str, float]
    settings: dict[str, Any]
    longest_s: float = 300.0

    def bar(self, name: str) -> Bar:
        """The bar called *name*; KeyError when there is none."""
        for bar in self.bars:
            if bar.name == name:
                return bar
        raise KeyError(name)

    def number(self, name: str) -> float:
        """A figure of the workload."""
        return self.workload[name]

    def count(self, name: str) -> int:
        """A whole figure of the workload; ValueError when it is not whole."""
        value = self.workload[name]
        if value != int(value):
            raise ValueError(f"{name} is {value}, not a whole number")
        return int(value)


def load(path: Path = FILE) -> dict[str, Plan]:
    """Every bench's plan by its name; raises `msgspec.ValidationError` for what is not a plan."""
    return msgspec.toml.decode(path.read_bytes(), type=dict[str, Plan])
