"""What is wrong with an upload: every row counted, the first of their faults kept."""

from __future__ import annotations

from collections.abc import Iterable

from engine.http.problems import Fault

MOST_KEPT = 100_000
"""Faults in the file of rejected rows; more are counted."""
MOST_A_ROW = 20


class Unreadable(Exception):
    """The file as a whole cannot be read, from some row on; carries the fault."""

    def __init__(self, code: str, detail: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(code)
        self.fault = Fault(code, detail, column, row)


class Faults:
    """The faults of one upload, in the order they were found."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.rejected = 0
        """Rows with a fault, and one for a fault of the file as a whole."""
        self._last: int | None = -1

    def __bool__(self) -> bool:
        return self.rejected > 0

    @property
    def room(self) -> int:
        """How many more are kept."""
        return MOST_KEPT - len(self.kept)

    def add(self, found: Iterable[Fault]) -> None:
        """Faults whose rows come one after the other."""
        for fault in found:
            if fault.row != self._last or fault.row is None:
                self.rejected += 1
                self._last = fault.row
            if self.room > 0:
                self.kept.append(fault)

    def count(self, rows: int) -> None:
        """Rows that are rejected beyond what is kept."""
        self.rejected += rows
