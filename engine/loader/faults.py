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
        self.found = 0
        """Faults, kept or not."""
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
            self.found += 1
            if self.room > 0:
                self.kept.append(fault)

    def count(self, rows: int) -> None:
        """Rows that are rejected, for a fault each, beyond what is kept."""
        self.rejected += rows
        self.found += rows

    def drop(self, fault: Fault) -> bool:
        """Take one that stood for others back; whether it was there."""
        if fault not in self.kept:
            return False
        self.kept.remove(fault)
        self.rejected -= 1
        self.found -= 1
        return True

    def listed(self) -> list[Fault]:
        """As the file has them: by row, those of the file as a whole behind them, and how many more there are."""
        kept = sorted(self.kept, key=lambda fault: (fault.row is None, fault.row or 0))
        if more := self.found - len(kept):
            why = f"{more:,} more faults were found and are not listed; of all rows {self.rejected:,} have faults"
            kept.append(Fault("more_faults", why))
        return kept
