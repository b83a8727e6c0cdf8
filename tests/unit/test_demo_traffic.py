"""What the phones post: on time, some of it twice, some after the phone's next report, never more than a batch."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.demo.city import read_city, spread_out
from engine.demo.people import people
from engine.demo.rides import rides
from engine.demo.streets import read_streets
from engine.demo.traffic import LATE, MOST_FLYING, MOST_ROWS, SLOT_S, SLOTS, TWICE, Report, Traffic
from engine.demo.walkers import Places, Walkers, places

START_MS = 1_800_000_000_000
PHONES = 900


@dataclass
class Ticking:
    """A clock that stands until it is moved."""

    at_ms: int = START_MS
    offset_ms: int = 0

    def now_ms(self) -> int:
        return self.at_ms


@dataclass
class Wire:
    """Takes bodies as the API would; answers at once, or never while *busy*."""

    bodies: list[bytes] = field(default_factory=list)
    busy: bool = False

    async def ask(self, method: str, path: str, body: bytes) -> None:
        assert (method, path) == ("POST", "/v1/pings")
        self.bodies.append(body)
        if self.busy:
            await asyncio.Event().wait()


@pytest.fixture(scope="module")
def aims() -> Places:
    city = read_city()
    return places(city, read_streets(city.plane), spread_out(city, 4, lambda _: True, 100), 4, seed=1)


def traffic(aims: Places, wire: Wire, clock: Ticking) -> Traffic:
    folk = people(list(range(1, 2_000)), PHONES, seed=1)
    couriers = [person.phone for person in folk if person.part in {"rider", "waiting"}]
    wire_, clock_ = wire, clock  # duck-typed: the traffic asks for two methods
    return Traffic(wire_, clock_, folk, Walkers(aims, PHONES, 5.0, 1), rides(aims, 4, couriers, 0))  # type: ignore[arg-type]  # see above


async def posted(aims: Places, slots: int) -> tuple[list[list[dict[str, Any]]], list[int]]:
    """Batches of each slot, and each slot's time."""
    wire, clock = Wire(), Ticking()
    going, seen, times = traffic(aims, wire, clock), [], []
    for slot in range(slots):
        times.append(clock.at_ms)
        before = len(wire.bodies)
        going._slot(slot, START_MS)
        await asyncio.sleep(0)
        batches = [msgspec.json.decode(body)["pings"] for body in wire.bodies[before:]]
        assert all(0 < len(batch) <= MOST_ROWS for batch in batches)
        seen.append([row for batch in batches for row in batch])
        clock.at_ms += round(SLOT_S * 1000)
    return seen, times


async def test_everybody_reports_in_every_period(aims: Places) -> None:
    seen, _ = await posted(aims, 2 * SLOTS)
    fresh = {(row["customer"], row["at"]) for rows in seen for row in rows}
    counts = Counter(customer for customer, _ in fresh)
    assert len(counts) >= 0.99 * PHONES
    assert sum(n >= 10 for n in counts.values()) >= 30, "riders report every second"


async def test_some_come_twice_and_some_after_their_next_one(aims: Places) -> None:
    seen, _ = await posted(aims, 8 * SLOTS)
    rows = [row for slot in seen for row in slot]
    pairs = Counter((row["customer"], row["at"]) for row in rows)
    twice = sum(n == 2 for n in pairs.values()) / len(pairs)
    assert 0.5 * TWICE < twice < 2 * TWICE and max(pairs.values()) == 2
    newest: dict[str, str] = defaultdict(str)
    late = 0
    for row in rows:
        late += row["at"] < newest[row["customer"]]
        newest[row["customer"]] = max(newest[row["customer"]], row["at"])
    assert 0.5 * LATE < late / len(pairs) < 2 * LATE


async def test_a_report_is_stamped_with_the_moment_it_is_made(aims: Places) -> None:
    seen, times = await posted(aims, 4)
    first = Counter(row["at"] for row in seen[0])
    assert len(first) == 1 and next(iter(first)).endswith("+00:00")
    assert len({row["at"] for slot in seen for row in slot}) == len(times)


async def test_phones_hold_back_while_the_api_does_not_answer(aims: Places) -> None:
    wire, clock = Wire(busy=True), Ticking()
    going = traffic(aims, wire, clock)
    for slot in range(3 * MOST_FLYING):
        going._slot(slot, START_MS)
    await asyncio.sleep(0)
    assert len(wire.bodies) == MOST_FLYING
    for task in going._flying:
        task.cancel()


async def test_a_track_reports_beside_the_others(aims: Places) -> None:
    wire = Wire()
    going = traffic(aims, wire, Ticking())
    going.extra = lambda: [Report("c-track", 60.17, 24.94, "2027-01-15T08:00:00.000+00:00", 6.0)]
    for slot in range(2 * SLOTS):
        going._slot(slot, START_MS)
        await asyncio.sleep(0)
    rows = [row for body in wire.bodies for row in msgspec.json.decode(body)["pings"]]
    assert 8 <= sum(row["customer"] == "c-track" for row in rows) <= 12


async def test_positions_of_all_phones_are_known_for_the_map(aims: Places) -> None:
    going = traffic(aims, Wire(), Ticking())
    going._slot(0, START_MS)
    assert np.all((going.lat_deg > 60) & (going.lat_deg < 61)) and np.all((going.lng_deg > 24) & (going.lng_deg < 26))
    await asyncio.gather(*going._flying)
