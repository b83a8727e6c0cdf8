"""Campaigns with drawn areas at the door: stored as drawn, refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.http_bodies import a_campaign, is_problem
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEST, EAST, SOUTH, NORTH = 24.93, 24.95, 60.16, 60.18
SQUARE = [[WEST, SOUTH], [EAST, SOUTH], [EAST, NORTH], [WEST, NORTH], [WEST, SOUTH]]


def area(store: str, *rings: list[list[float]]) -> dict[str, Any]:
    return {"store": store, "geometry": {"type": "Polygon", "coordinates": list(rings)}}


async def test_an_area_is_stored_as_it_was_drawn(world: World) -> None:
    code = (await world.store())["code"]
    drawn = [area(code, SQUARE)]
    made = await world.good("POST", "/v1/campaigns", "retailer", a_campaign([code]) | {"areas": drawn})
    read = await world.good("GET", f"/v1/campaigns/{made['id']}", "retailer")
    assert read["campaign"]["areas"] == drawn
    everywhere = a_campaign([]) | {"areas": drawn}
    await world.good("POST", "/v1/campaigns", "retailer", everywhere)


@pytest.mark.parametrize(
    "rings",
    [
        [[SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]],
        [SQUARE[:2]],
        [[[WEST, 91.0], *SQUARE[1:]]],
        [[[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]]],
        [[[WEST, SOUTH], [WEST, SOUTH], [WEST, SOUTH], [WEST, SOUTH]]],
        [[["24.93", SOUTH], *SQUARE[1:]]],
        [[[WEST + n * 1e-7, SOUTH] for n in range(10_001)]],
        [],
    ],
    ids=["bow-tie", "two vertices", "lat 91", "the world", "a point", "text", "too many vertices", "no ring"],
)
async def test_what_cannot_be_drawn_is_refused_with_the_reason(world: World, rings: Any) -> None:
    code = (await world.store())["code"]
    before = await world.count()
    answer = await world.ask("POST", "/v1/campaigns", "retailer", a_campaign([code]) | {"areas": [area(code, *rings)]})
    assert is_problem(answer, 422)
    faults = [(fault["column"], fault["code"]) for fault in answer.json()["errors"]]
    assert faults == [("areas[0].geometry", "geometry")], answer.text
    assert await world.count() == before
