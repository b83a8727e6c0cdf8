"""Compiling and deciding agree with the loops of the slow twin; permuted uploads compile to the same bytes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from offers.budget import Blocks
from offers.caps import Caps
from offers.catalogue import Catalogue
from offers.codec import decode, encode
from offers.compile import compile_snapshot
from offers.decide import Verdict, decide
from offers.event import Search, Standing, Trigger
from offers.history import History
from offers.reasons import Reason
from offers.snapshot import Snapshot
from tests.reference import offers_random as random_world
from tests.reference.offers_decide import Event, Person, choose
from tests.reference.offers_world import NOW_MS, ROW

seeds = st.integers(0, 2**32)
EVENTS = 6


def standing_of(person: Person) -> Standing:
    caps, blocks, history = Caps(), Blocks(), History()
    for campaign, at_ms in person.coupons:
        caps.note(ROW, campaign, at_ms)
    for campaign, coupons in person.left.items():
        blocks.grant(campaign, coupons)
    for product, at_ms, quantity in person.purchases:
        history.note(ROW, product, at_ms, quantity)
    return Standing(
        ROW, person.consents, caps, blocks, history, person.now_ms, person.stale, person.after_reset, person.stopped
    )


def triggers_of(live: Snapshot, event: Event, draw: Random) -> list[Trigger]:
    search = Search(event.products, event.brands, event.categories) if event.kind == "search" else None
    dwell_s = event.dwell_s if event.kind == "dwell" else 0
    fences = zip(live.fence_store.tolist(), live.fences.radius_m.tolist(), strict=True)
    out = [
        Trigger(event.kind, place, dwell_s, search)  # type: ignore[arg-type] # one of the literals
        for place, fence in enumerate(fences)
        if fence in event.fences
    ]
    draw.shuffle(out)
    return out


def agreed(seed: int) -> list[Verdict]:
    """The verdicts of one random world, each compared with the twin's."""
    draw = Random(seed)
    catalogue = random_world.catalogue(draw)
    live = compile_snapshot(catalogue, NOW_MS)
    skipped = {left_out.campaign for left_out in live.skipped}
    kept = [row for row in catalogue.campaigns if row.id not in skipped]
    verdicts = []
    for _ in range(EVENTS):
        person, event = random_world.person(draw), random_world.happening(draw)
        verdict = decide(live, triggers_of(live, event, draw), standing_of(person))
        choice = (verdict.choice.campaign.id, verdict.choice.store) if verdict.choice else None
        held = {one.campaign: one.reason.value for one in verdict.held}
        assert (choice, held) == choose(Catalogue(catalogue.stores, catalogue.products, kept), event, person)
        verdicts.append(verdict)
    return verdicts


@settings(max_examples=150, deadline=timedelta(seconds=5))
@given(seeds)
def test_the_verdict_is_that_of_the_slow_twin(seed: int) -> None:
    agreed(seed)


def test_the_random_worlds_show_every_reason_and_many_choices() -> None:
    """Else the property above would prove little."""
    verdicts = [verdict for seed in range(100) for verdict in agreed(seed)]
    reasons = Counter(held.reason for verdict in verdicts for held in verdict.held)
    assert set(reasons) == set(Reason)
    assert min(reasons.values()) >= 5
    assert sum(verdict.choice is not None for verdict in verdicts) > len(verdicts) / 10


@settings(max_examples=40, deadline=timedelta(seconds=5))
@given(seeds)
def test_a_permuted_upload_compiles_to_the_same_bytes(seed: int) -> None:
    draw = Random(seed)
    catalogue = random_world.catalogue(draw)
    parts = encode(compile_snapshot(catalogue, NOW_MS))
    permuted = Catalogue(
        draw.sample(catalogue.stores, len(catalogue.stores)),
        draw.sample(catalogue.products, len(catalogue.products)),
        draw.sample(catalogue.campaigns, len(catalogue.campaigns)),
    )
    assert encode(compile_snapshot(permuted, NOW_MS)) == parts
    assert encode(decode(parts)) == parts
