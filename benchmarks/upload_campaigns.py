"""A hundred thousand campaigns from upload to live, then edits and new ones one by one, while phones report.

Live is what a phone gets: decisions of the uploaded campaigns at every store of the probes, and of an edited campaign
the first coupon that says what the edit said, read back from PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks import upload_files, world
from benchmarks.bars import Plan
from benchmarks.bodies import customer_id, instant
from benchmarks.generator import World as Where
from benchmarks.ground import MIDDLE, Square
from benchmarks.load import load
from benchmarks.result import Row, row
from benchmarks.sending import File, meanwhile, upload
from benchmarks.stage import Stage, staged

SIDE_M = 300_000.0
"""A chain of five thousand stores is spread over a country."""
LIVE_S = 300.0
EDIT_S = 30.0
STEP_S = 0.1
STEPPING = 8
"""Probes that step in and out while campaigns are edited; one half is told every tenth of a second."""
_PROBED = "SELECT count(DISTINCT u.id) FROM decision d JOIN customer u ON u.number = d.customer WHERE u.id = ANY ($1)"
_EDITED = """SELECT (extract(epoch FROM min(d.decided_at)) * 1000)::float8
FROM coupon c JOIN decision d ON d.id = c.decision
WHERE c.campaign = $1 AND (c.offer ->> 'percent')::integer = $2"""


async def bench(plan: Plan) -> list[Row]:
    """The uploads are one run; the edits are as many as the plan says, and the figure is the worst of them."""
    with tempfile.TemporaryDirectory(prefix="candlemaker-bench-files-") as place:
        file = await asyncio.to_thread(upload_files.campaigns, Path(place) / "campaigns.ndjson.gz", plan)
        async with staged(plan.settings) as stage:
            return await _measured(plan, stage, file)


async def _measured(plan: Plan, stage: Stage, file: Path) -> list[Row]:
    square = Square(plan.seed, SIDE_M, plan.count("stores"))
    customers, probes = plan.count("customers"), plan.count("probes")
    made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers)
    # The last customers are the probes, who step in and out of stores; the others walk.
    where = Where(stage.stack.url, made.app_key, plan.seed, SIDE_M, customers - probes, "walk")
    rate, connections = plan.number("pings_per_s"), plan.count("connections")
    async with load(where) as phones, meanwhile(phones, rate, connections) as reports:
        began_s = time.perf_counter()
        stored_s, told = await upload(
            stage, made.retailer_key, File(file, "campaigns", "application/x-ndjson", "&activate=true")
        )
        assert told["difference"]["created"] == plan.count("campaigns"), told
        await _until_live(plan, stage, made, square)
        live_s = time.perf_counter() - began_s
        async with _stepping(plan, stage, made, square):
            edits = [await _edited_s(stage, made, number) for number in range(plan.count("edits"))]
            circles = [await _new_s(stage, made, number) for number in range(plan.count("new_circles"))]
            drawn = [await _new_s(stage, made, n, _drawn(square, n)) for n in range(plan.count("new_drawings"))]
    note = f"{stored_s:.1f} s until stored; live: {probes} customers in stores drawn by lot have a decision each"
    return [
        row(plan.bar("campaigns_live"), [live_s], f"one run; {note}"),
        row(
            plan.bar("edit_live"),
            edits,
            f"the worst of {len(edits)}: from the answer to the first coupon that says what the edit said",
            ours=max(edits),
        ),
        *(
            row(
                plan.bar(name),
                found,
                f"the worst of {len(found)}: from the answer to the first coupon",
                ours=max(found),
            )
            for name, found in (("circle_live", circles), ("drawn_live", drawn))
        ),
        row(
            plan.bar("campaigns_pings_p99"),
            reports.p99_ms,
            f"the worst of {len(reports.reports)} windows of 10 s; {reports.requests:,} pings",
            ours=max(reports.p99_ms),
        ),
    ]


async def _until_live(plan: Plan, stage: Stage, made: world.World, square: Square) -> None:
    """Probes step into stores drawn by lot until each has got a coupon; each step is a ping far away and one inside."""
    stores = np.random.default_rng([plan.seed, 9]).choice(plan.count("stores"), plan.count("probes"), replace=False)
    names = _probes(plan)
    deadline_s, inside = time.monotonic() + LIVE_S, False
    while await stage.database.fetchval(_PROBED, names) < len(names):
        if time.monotonic() > deadline_s:
            raise TimeoutError("the uploaded campaigns make no decisions")
        inside = not inside
        await _step(stage, made, square, dict(zip(names, stores.tolist(), strict=True)), inside)
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _stepping(plan: Plan, stage: Stage, made: world.World, square: Square) -> AsyncIterator[None]:
    """Probes step in and out of the first store without end, half of them in while the others are out."""
    names = _probes(plan)[:STEPPING]
    halves = dict.fromkeys(names[::2], 0), dict.fromkeys(names[1::2], 0)

    async def step() -> None:
        inside = False
        while True:
            inside = not inside
            for half, there in zip(halves, (inside, not inside), strict=True):
                await _step(stage, made, square, half, there)
            await asyncio.sleep(STEP_S)

    stepping = asyncio.create_task(step())
    try:
        yield
    finally:
        stepping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stepping


def _probes(plan: Plan) -> list[str]:
    first = plan.count("customers") - plan.count("probes")
    return [customer_id(first + index) for index in range(plan.count("probes"))]


async def _step(stage: Stage, made: world.World, square: Square, stores: dict[str, int], inside: bool) -> None:
    lat, lng = square.fences
    away = MIDDLE[0] + 5.0, MIDDLE[1]
    pings = [_ping(name, (float(lat[store]), float(lng[store])) if inside else away) for name, store in stores.items()]
    await asyncio.to_thread(stage.client.ask, "POST", "/v1/pings", made.app_key, {"pings": pings})


def _ping(customer: str, place: tuple[float, float]) -> dict[str, Any]:
    at = instant(int(time.time() * 1000)).decode()
    return {"customer": customer, "lat": place[0], "lng": place[1], "accuracy_m": 8.5, "at": at}


async def _edited_s(stage: Stage, made: world.World, number: int) -> float:
    """Seconds from the answer to an edit until a coupon was decided on that says so. Each edit outranks the last."""
    code = upload_files.campaign_code(upload_files.EDITED_EVERY * number)
    identity = await stage.database.fetchval("SELECT id FROM campaign WHERE code = $1", code)
    stored = await asyncio.to_thread(stage.client.ask, "GET", f"/v1/campaigns/{identity}", made.retailer_key)
    percent = 50 + number
    spec = stored["campaign"] | {"priority": number + 1, "offer": stored["campaign"]["offer"] | {"percent": percent}}
    body = msgspec.to_builtins(spec)
    await asyncio.to_thread(stage.client.ask, "PUT", f"/v1/campaigns/{identity}", made.retailer_key, body)
    return await _until_given_s(stage, identity, percent)


async def _new_s(stage: Stage, made: world.World, number: int, areas: list[dict[str, Any]] | None = None) -> float:
    """Seconds from the answer that a new campaign is live until its first coupon. It asks for a fence that nobody has:
    a circle of its own, or what is drawn."""
    code = f"{'drawn' if areas else 'circle'}-{number}"
    spec = world.a_campaign(code, [world.store_code(0)], 60.0 + number) | {"priority": 500 + number}
    if areas:
        spec |= {"areas": areas, "priority": 700 + number}
    told = await asyncio.to_thread(stage.client.ask, "POST", "/v1/campaigns", made.retailer_key, spec)
    verb = f"/v1/campaigns/{told['id']}/activate"
    await asyncio.to_thread(stage.client.ask, "POST", verb, made.retailer_key, None)
    return await _until_given_s(stage, told["id"], spec["offer"]["percent"])


def _drawn(square: Square, number: int) -> list[dict[str, Any]]:
    """A polygon of a hundred corners around the first store, another one each time."""
    lat, lng = (float(one[0]) for one in square.fences)
    turn = np.linspace(0.0, 2.0 * np.pi, 101)
    half = (80.0 + 10.0 * number) / 111_195.0
    north, east = lat + half * np.sin(turn), lng + half * np.cos(turn) / np.cos(np.radians(lat))
    ring = [[round(float(x), 7), round(float(y), 7)] for x, y in zip(east, north, strict=True)]
    ring[-1] = ring[0]
    return [{"store": world.store_code(0), "geometry": {"type": "Polygon", "coordinates": [ring]}}]


async def _until_given_s(stage: Stage, campaign: int, percent: int) -> float:
    """From now until the first coupon of the campaign that says so was decided on."""
    answered_ms = time.time() * 1000
    deadline_s = time.monotonic() + EDIT_S
    while (first_ms := await stage.database.fetchval(_EDITED, campaign, percent)) is None:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"campaign {campaign} is not live after {EDIT_S:.0f} s")
        await asyncio.sleep(0.01)
    return max(0.0, float(first_ms) - answered_ms) / 1000
