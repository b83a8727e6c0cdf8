"""A snapshot with a delta decides as one that is compiled anew."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot, lookup
from offers.delta import applied, decode, delta, encode
from offers.errors import BrokenSnapshot
from offers.intervals import ALWAYS
from offers.snapshot import Snapshot
from tests.reference import offers_random as random
from tests.reference.offers_world import NOW_MS


def said(snapshot: Snapshot, only: frozenset[int]) -> dict[Any, Any]:
    """Fence id → campaign id → when it runs there, for the fences in *only*; and the campaigns."""
    found: dict[Any, Any] = {"campaigns": snapshot.campaigns}
    table, postings = snapshot.schedules, snapshot.postings
    for f, fence in enumerate(snapshot.fences.fence.tolist()):
        there = {}
        for m in range(postings.ptr[f], postings.ptr[f + 1]):
            row = int(postings.schedule[m])
            spans = ALWAYS if row == ALWAYS else [
                (int(table.starts[i]), int(table.ends[i])) for i in range(table.ptr[row], table.ptr[row + 1])
            ]  # fmt: skip
            there[snapshot.campaigns[int(postings.campaign[m])].id] = spans
        if fence in only:
            found[fence] = there
        assert list(there) == sorted(there)
    return found


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_delta_says_what_a_compile_would(seed: int) -> None:
    draw = Random(seed)
    world = random.catalogue(draw)
    base = compile_snapshot(world, NOW_MS)
    # Some end, some say what another says, one comes back that was not there.
    specs = {row.id: row for row in world.campaigns}
    changed = set(draw.sample(sorted(specs), min(len(specs), draw.randint(1, 4))))
    rows = []
    for number in sorted(changed):
        if draw.random() < 0.7:
            other = draw.choice(list(specs.values()))
            rows.append(CampaignRow(number, other.retailer, other.spec))
    if draw.random() < 0.5:
        changed.add(99)
        rows.append(CampaignRow(99, draw.choice(list(specs.values())).retailer, draw.choice(list(specs.values())).spec))
    change = delta(base, changed, rows, *lookup(world))
    now = Catalogue(world.stores, world.products, [*(r for r in world.campaigns if r.id not in changed), *rows])
    whole = compile_snapshot(now, NOW_MS)
    if change is None:
        return
    small = applied(base, decode(encode(change)))
    fences = frozenset(whole.fences.fence.tolist())
    assert said(small, fences) == said(whole, fences)
    assert small.by_id == whole.by_id and small.ids.tolist() == whole.ids.tolist()
    left = {f for f in small.fences.fence.tolist() if f not in fences}
    assert all(not there for fence, there in said(small, frozenset(left)).items() if fence != "campaigns")


def test_most_edits_have_a_delta_and_new_ground_has_none() -> None:
    """Else the property above would hold of nothing."""
    draw, found = Random(7), 0
    for _ in range(50):
        world = random.catalogue(draw)
        base = compile_snapshot(world, NOW_MS)
        row = next((r for r in world.campaigns if r.id in base.by_id), None)
        if row is not None:
            found += delta(base, {row.id}, [row], *lookup(world)) is not None
            wider = msgspec.structs.replace(row.spec, radius_m=777.0)
            assert delta(base, {row.id}, [CampaignRow(row.id, row.retailer, wider)], *lookup(world)) is None
    assert found > 30


def test_a_part_that_is_no_delta_is_refused() -> None:
    for part in (b"", b"CANDLE04", b"CANDLED1", b"CANDLED1\x93\x01"):
        with pytest.raises(BrokenSnapshot):
            decode(part)
