"""A snapshot with a delta says, asks of the ground and decides as one that is compiled anew."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.match import match
from offers.applied import applied
from offers.campaign import Campaign
from offers.catalogue import AreaRow, CampaignRow, Catalogue
from offers.compile import compile_snapshot, lookup
from offers.decide import decide
from offers.delta import decode, delta, encode
from offers.errors import BrokenSnapshot
from offers.event import Search, Trigger
from offers.intervals import ALWAYS, UNKNOWN
from offers.snapshot import Snapshot
from tests.property.test_offers_decide_properties import standing_of
from tests.reference import offers_random as random
from tests.reference.offers_decide import Event
from tests.reference.offers_world import NOW_MS

EVENTS = 4


def spans(table: Any, row: int, nothing: int) -> Any:
    return nothing if row == nothing else [
        (int(table.starts[i]), int(table.ends[i])) for i in range(table.ptr[row], table.ptr[row + 1])
    ]  # fmt: skip


def said(snapshot: Snapshot, only: frozenset[int]) -> dict[Any, Any]:
    """Fence id → its store, hours and ground, campaign id → when it runs there, for the fences in *only*; and the
    campaigns."""
    found: dict[Any, Any] = {"campaigns": snapshot.campaigns, "skipped": snapshot.skipped}
    postings, index = snapshot.postings, snapshot.fences
    for f, fence in enumerate(index.fence.tolist()):
        there = {}
        for m in range(postings.ptr[f], postings.ptr[f + 1]):
            campaign = snapshot.campaigns[int(postings.campaign[m])]
            there[campaign.id] = spans(snapshot.schedules, int(postings.schedule[m]), ALWAYS)
            waits = index.dwell_s[index.dwell_ptr[f] : index.dwell_ptr[f + 1]]
            assert campaign.trigger != "dwell" or campaign.dwell_s in waits
        hours = spans(snapshot.hours, int(postings.hours[f]), UNKNOWN)
        ground = index.lat.item(f), index.lng.item(f), index.radius_m.item(f), index.reach_m.item(f)
        if fence in only:
            found[fence] = (int(snapshot.fence_store[f]), hours, ground, there)
        else:
            assert not there
        assert list(there) == sorted(there)
    return found


def ring(draw: Random) -> list[list[float]]:
    """Around the stores of `offers_random`, longitude first."""
    lat, lng, half = 60.0 + draw.randint(1, 4), 24.9, draw.choice([0.001, 0.002])
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    return [[lng + 2 * half * east, lat + half * north] for east, north in corners]


def another(draw: Random, spec: Campaign) -> Campaign:
    """What an edit may make of it: sometimes it asks for ground that nobody has yet."""
    changes: dict[str, Any] = {}
    if draw.random() < 0.4:
        changes["radius_m"] = draw.choice([50.0, 77.0, 400.0])
    if draw.random() < 0.3:
        changes["stores"] = draw.sample(["s1", "s2", "s3", "s4"], draw.randint(1, 3))
    if draw.random() < 0.3:
        geometry = {"type": "Polygon", "coordinates": [ring(draw)]}
        changes["areas"] = [{"store": f"s{draw.randint(1, 4)}", "geometry": geometry}]
    if draw.random() < 0.3:
        changes |= {"stores": [], "drawn": ["square"]}
    if spec.trigger == "dwell" and draw.random() < 0.5:
        changes["dwell_s"] = draw.choice([60, 90, 300])
    return msgspec.convert(msgspec.to_builtins(spec) | changes, Campaign)


def edited(draw: Random, world: Catalogue) -> tuple[set[int], list[CampaignRow]]:
    """Some end, some say what another says or ask for new ground, one comes that was not there."""
    specs = {row.id: row for row in world.campaigns}
    changed = set(draw.sample(sorted(specs), min(len(specs), draw.randint(1, 4))))
    if draw.random() < 0.5:
        changed.add(99)
    rows = []
    for number in sorted(changed):
        if number == 99 or draw.random() < 0.7:
            other = draw.choice(list(specs.values()))
            rows.append(CampaignRow(number, other.retailer, another(draw, other.spec)))
    return changed, rows


def by_id(snapshot: Snapshot, places: np.ndarray[Any, Any]) -> set[tuple[int, int, float]]:
    """(point, fence id, distance to its edge) where campaigns are."""
    pairs = match(snapshot.fences, places[:, 0], places[:, 1])
    there = np.diff(snapshot.postings.ptr)[pairs.fence] > 0
    ids = snapshot.fences.fence[pairs.fence]
    return set(zip(pairs.point[there].tolist(), ids[there].tolist(), pairs.edge_m[there].tolist(), strict=True))


def decided(snapshot: Snapshot, event: Event, person: Any, fences: list[int]) -> Any:
    search = Search(event.products, event.brands, event.categories) if event.kind == "search" else None
    dwell_s = event.dwell_s if event.kind == "dwell" else 0
    at = snapshot.fences.position_of(np.array(fences, np.int64)).tolist()
    triggers = [Trigger(event.kind, place, dwell_s, search) for place in at]  # type: ignore[arg-type] # a literal
    verdict = decide(snapshot, triggers, standing_of(person))
    choice = verdict.choice
    made = None if choice is None else (choice.campaign, choice.store, choice.terms)
    return made, verdict.held


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_delta_says_what_a_compile_would(seed: int) -> None:
    draw = Random(seed)
    world = random.catalogue(draw)
    square = AreaRow(1, "square", "s1", {"type": "Polygon", "coordinates": [ring(draw)]})
    world = Catalogue(world.stores, world.products, world.campaigns, [square])
    base = compile_snapshot(world, NOW_MS)
    changed, rows = edited(draw, world)
    change = delta(base, changed, rows, lookup(world))
    kept = [row for row in world.campaigns if row.id not in changed]
    whole = compile_snapshot(Catalogue(world.stores, world.products, [*kept, *rows], world.areas), NOW_MS)
    assert change is not None
    small = applied(base, decode(encode(change)))
    fences = whole.fences.fence.tolist()
    assert said(small, frozenset(fences)) == said(whole, frozenset(fences))
    assert small.by_id == whole.by_id and small.ids.tolist() == whole.ids.tolist()
    places = np.array(
        [(60.0 + draw.randint(1, 4) + draw.gauss(0, 1e-3), 24.9 + draw.gauss(0, 2e-3)) for _ in range(60)]
    )
    assert by_id(small, places) == by_id(whole, places)
    for _ in range(EVENTS if fences else 0):
        person, event = random.person(draw), random.happening(draw)
        met = draw.sample(fences, min(len(fences), draw.randint(1, 5)))
        assert decided(small, event, person, met) == decided(whole, event, person, met)


def test_new_ground_is_part_of_a_delta_and_old_ground_is_not() -> None:
    """Else the property above could hold of edits that bring none."""
    draw, new, longer, drawn = Random(7), 0, 0, 0
    for _ in range(150):
        world = random.catalogue(draw)
        base = compile_snapshot(world, NOW_MS)
        row = next((r for r in world.campaigns if r.id in base.by_id), None)
        if row is None:
            continue
        same = delta(base, {row.id}, [row], lookup(world))
        assert same is not None and not same.grounds and not same.dwells
        changed, rows = edited(draw, world)
        change = delta(base, changed, rows, lookup(world))
        assert change is not None
        new += bool(change.grounds)
        longer += bool(change.dwells)
        drawn += any(ground.geometry for ground in change.grounds)
        if change.grounds:
            assert len(applied(base, change).fences) == len(base.fences) + len(change.grounds)
    assert new > 30 and longer > 1 and drawn > 5


def test_a_part_that_is_no_delta_is_refused() -> None:
    for part in (b"", b"CANDLE04", b"CANDLED1\x93\x01", b"CANDLED2", b"CANDLED2\x93\x01"):
        with pytest.raises(BrokenSnapshot):
            decode(part)
