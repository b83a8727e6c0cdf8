"""What a run left behind, read back from PostgreSQL and the stand-in's ledger file: nothing was counted on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.postgres import queries
from engine.standin.ledger import Arrival

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Rows as the queries of sql/queries/demo.sql name them, and the ledger's lines."""

    tally: Mapping[str, int]
    totals: Row
    messages: Sequence[Row]
    decisions: Mapping[str, Row]
    budgets: Sequence[Row]
    over_cap: Sequence[Row]
    twice_redeemed: Sequence[Row]
    doubled_events: Sequence[Row]
    orphans: Row
    silenced: Sequence[Row]
    inbox: Sequence[Row]
    customers: Mapping[str, int]
    """Registration → customer number."""
    arrivals: Sequence[Arrival]
    twice_shown: int
    """Coupons shown at two tills."""
    twice_shown_redeemed: int
    """How many of them were redeemed, each counted once."""

    @property
    def accepted(self) -> Sequence[Arrival]:
        """Arrivals the stand-in took."""
        return [arrival for arrival in self.arrivals if arrival.accepted]

    def message_count(self, state: str, reason: str | None = None) -> int:
        """Messages that ended so."""
        return sum(row["n"] for row in self.messages if row["state"] == state and reason in (None, row["reason"]))


async def gather(connection: Any, ledger: Path, twice_shown: Sequence[str]) -> Evidence:
    """Read everything; *twice_shown* are the ids of coupons that two tills were shown at once."""
    demo = queries.demo
    tally = {row["name"]: row["n"] for row in await _rows(demo.tallies(connection))}
    return Evidence(
        tally=tally,
        totals=dict(await demo.totals(connection)),
        messages=await _rows(demo.messages(connection)),
        decisions={row["id"]: row for row in await _rows(demo.decisions(connection))},
        budgets=await _rows(demo.budgets(connection)),
        over_cap=await _rows(demo.over_cap(connection)),
        twice_redeemed=await _rows(demo.twice_redeemed(connection)),
        doubled_events=await _rows(demo.doubled_events(connection)),
        orphans=dict(await demo.orphans(connection)),
        silenced=await _rows(demo.silenced(connection)),
        inbox=await _rows(demo.inbox_times(connection)),
        customers={row["registration"]: row["customer"] for row in await _rows(demo.registrations(connection))},
        arrivals=read_ledger(ledger),
        twice_shown=len(set(twice_shown)),
        twice_shown_redeemed=await demo.redemptions_of(connection, coupons=list(twice_shown)),
    )


def read_ledger(path: Path) -> list[Arrival]:
    """The ledger's complete lines."""
    decode = msgspec.json.Decoder(Arrival).decode
    return [decode(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


async def _rows(found: Any) -> list[Row]:
    return [dict(row) async for row in found]
