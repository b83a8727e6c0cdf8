"""Drawn surroundings of stores, from the upload to the fence that a phone walks into."""

from __future__ import annotations

from typing import Any

import numpy as np

from geo.match import match
from offers.catalogue import CampaignRow, Catalogue
from offers.codec import decode, encode
from offers.compile import compile_snapshot
from tests.reference.offers_world import NOW_MS, campaign, snapshot, store

EAST = [[24.95, 60.16], [24.97, 60.16], [24.97, 60.18], [24.95, 60.18], [24.95, 60.16]]
"""A kilometre east of the stores of `offers_world`, longitude first."""
IN_EAST = (60.17, 24.96)


def area(code: str, ring: list[list[float]] = EAST) -> dict[str, Any]:
    return {"store": code, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_a_drawn_store_has_its_area_and_the_others_their_circle() -> None:
    live = snapshot([campaign(areas=[area("s1")])], [store(1), store(2)])
    met = match(live.fences, np.array([IN_EAST[0], store(2).lat]), np.array([IN_EAST[1], store(2).lng]))
    assert [(int(point), live.fence_store.item(fence)) for point, fence in zip(met.point, met.fence, strict=True)] == [
        (0, 1),
        (1, 2),
    ]


def test_campaigns_that_drew_the_same_share_a_fence() -> None:
    turned = [[24.97, 60.16], [24.97, 60.18], [24.95, 60.18], [24.95, 60.16], [24.97, 60.16]]
    specs = [campaign(code=code, areas=[area("s1", ring)]) for code, ring in (("a", EAST), ("b", EAST), ("c", turned))]
    live = snapshot(specs, [store(1)])
    assert np.diff(live.postings.ptr).tolist() in ([2, 1], [1, 2])
    assert len(snapshot([*specs[:2], campaign(code="d")], [store(1)]).fences) == 2


def test_an_area_goes_through_the_parts_of_a_snapshot() -> None:
    live = snapshot([campaign(areas=[area("s1")])], [store(1)])
    back = decode(encode(live))
    met = match(back.fences, np.array([IN_EAST[0]]), np.array([IN_EAST[1]]))
    assert met.fence.tolist() == [0]


def test_an_area_that_cannot_be_drawn_any_more_leaves_its_campaign_out() -> None:
    """Stored by a version that allowed it; nothing of it is published, everything else is."""
    bow_tie = [EAST[0], EAST[2], EAST[1], EAST[3], EAST[0]]
    rows = [CampaignRow(1, 1, campaign(areas=[area("s1", bow_tie)])), CampaignRow(2, 1, campaign(code="good"))]
    live = compile_snapshot(Catalogue([store(1)], [], rows), NOW_MS)
    assert [one.id for one in live.campaigns] == [2]
    assert [(gone.campaign, gone.why.split(":")[0]) for gone in live.skipped] == [(1, "the area of s1 cannot be drawn")]
