"""The whole sender against the stand-in: every answer's consequence for message, registration, campaign and lane."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from engine.clock import Clock
from engine.settings import Settings
from engine.standin.script import Answer
from tests.contract.sender_rig import Rig, rig

PEOPLE = 2000


@pytest.fixture
async def world(settings: Settings, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(settings, tmp_path, PEOPLE) as one:
        yield one


async def test_everything_goes_out_once_over_all_lanes(world: Rig) -> None:
    for lane in ("triggered", "bulk"):
        await world.queue(await world.campaign(lane), PEOPLE, lane)
    async with world.sender():
        await world.go()
        assert await world.ended() == {("sent", "200"): 2 * PEOPLE}
    assert Counter(Counter(a.tag for a in world.arrivals).values()) == {1: 2 * PEOPLE}


async def test_two_senders_send_nothing_twice(world: Rig) -> None:
    await world.queue(await world.campaign(), PEOPLE)
    async with world.sender(), world.sender():
        await world.go()
        assert await world.ended() == {("sent", "200"): PEOPLE}
    assert len(world.arrivals) == PEOPLE


async def test_a_drain_gives_the_rest_back_and_sends_nothing_twice(world: Rig) -> None:
    await world.queue(await world.campaign(), PEOPLE)
    async with world.sender(fcm_quota_per_s=1500) as stop:
        await world.go()
        await asyncio.sleep(0.4)
        stop.set()
        await asyncio.sleep(0.5)
    sent = len(world.arrivals)
    assert 0 < sent < PEOPLE
    assert await world.database.fetchval("SELECT count(*) FROM chunk WHERE leased_by IS NOT NULL") == 0
    async with world.sender():
        await world.wake()
        await world.ended()
    assert Counter(Counter(a.tag for a in world.arrivals).values()) == {1: PEOPLE}


async def test_a_429_pauses_every_sender_and_gives_the_chunks_back(world: Rig) -> None:
    await world.queue(await world.campaign(), PEOPLE)
    world.script("r700", Answer("quota_project", retry_after="2"))
    async with world.sender(), world.sender():
        await world.go()
        await world.until(lambda: _came(world, "quota_project"), 10)
        await asyncio.sleep(0.3)
        so_far = len(world.arrivals)
        await asyncio.sleep(1.0)
        assert len(world.arrivals) - so_far == 0, "both keep still"
        assert (await world.ended(20))[("sent", "200")] == PEOPLE
    assert Counter(Counter(a.tag for a in world.arrivals if a.accepted).values()) == {1: PEOPLE}


async def _came(world: Rig, answer: str) -> bool:
    return any(a.answer == answer for a in world.arrivals)


async def test_a_platform_without_credentials_is_left_out_and_another_device_is_found(world: Rig) -> None:
    await world.database.execute("UPDATE device SET platform = 'ios', name = 'i' WHERE customer < 10")
    await world.database.execute(
        "INSERT INTO device (customer, name, platform, kind, registration, registered_at)"
        " SELECT n, 'a', 'android', 'token', 'a' || n, now() - interval '1 hour' FROM generate_series(0, 4) n"
    )
    world.script("r0", Answer("third_party_auth"))
    campaign = await world.campaign()
    async with world.sender():
        await world.queue(campaign, 1)
        await world.go()
        assert await world.ended() == {("sent", "200"): 1}
        assert [a.registration for a in world.arrivals] == ["r0", "a0"]
        await world.queue(await world.campaign("next"), 10)
        await world.go()
        states = await world.ended()
    assert states == {("sent", "200"): 6, ("failed", "no_registration"): 5}
    assert await world.devices() == {"active": PEOPLE + 5}


async def test_a_device_that_gets_too_much_is_left_alone(world: Rig) -> None:
    world.script("r3", Answer("quota_device", retry_after="20"))
    async with world.sender():
        for code, sent in (("a", 5), ("b", 9)):
            await world.queue(await world.campaign(code), 5)
            await world.go()
            await world.until(partial(_some, world, sent), 10)
        await asyncio.sleep(0.3)
    assert len([a for a in world.arrivals if a.registration == "r3"]) == 1
    assert (await world.states())[("queued", "")] == 2


async def test_a_lost_answer_is_tried_again_with_the_same_tag(world: Rig) -> None:
    for registration, answer in {"r0": "unavailable_accepted", "r1": "reset", "r2": "bad_gateway"}.items():
        world.script(registration, Answer(answer))
    await world.queue(await world.campaign(), 3)
    async with world.sender():
        await world.go()
        await world.until(
            lambda: world.database.fetchval("SELECT count(*) = 3 FROM outcome WHERE state = 'requeued'"), 10
        )
        await world.database.execute(GO_SOONER)
        await world.wake()
        assert await world.ended() == {("sent", "200"): 3}
    shown = Counter((a.registration, a.tag) for a in world.arrivals if a.accepted)
    assert shown == dict.fromkeys(shown, 2) and len(shown) == 3


GO_SOONER = "UPDATE chunk SET due_at = now()"


async def _some(world: Rig, count: int) -> bool:
    return len(world.arrivals) >= count


async def test_offers_are_held_back_in_quiet_hours_and_bulk_waits_for_their_end(world: Rig) -> None:
    await world.database.execute("UPDATE customer SET quiet_from = 0, quiet_until = 1439 WHERE number < 5")
    await world.database.execute("UPDATE customer SET zone = NULL WHERE number = 4")
    await world.queue(await world.campaign("t"), 10)
    await world.queue(await world.campaign("b"), 10, "bulk", life_s=30 * 3600)
    async with world.sender():
        await world.go()
        await world.until(
            lambda: world.database.fetchval("SELECT count(*) = 10 FROM message_state WHERE state = 'sent'"), 10
        )
        await asyncio.sleep(0.3)
    assert await world.states() == {
        ("sent", "200"): 10,
        (
            "suppressed",
            "quiet_hours",
        ): 6,  # five that answered a moment, and a bulk one whose night nobody knows the end of
        ("queued", ""): 4,
    }
    assert {a.registration for a in world.arrivals} == {f"r{n}" for n in range(5, 10)}


async def test_a_transactional_push_goes_before_a_bulk_that_fills_the_pace(world: Rig) -> None:
    await world.queue(await world.campaign(), PEOPLE, "bulk")
    async with world.sender(fcm_quota_per_s=500):
        await world.go()
        await world.until(lambda: _some(world, 100), 10)
        waited: list[float] = []
        for n in range(5):
            began_ms = Clock().now_ms()
            await world.database.execute(
                """WITH made AS (INSERT INTO chunk (day, channel, lane, size, due_at)
                       VALUES (current_date, 'fcm', 'transactional', 1, now()) RETURNING id)
                   INSERT INTO message (day, chunk, seq, id, customer, channel, title, body, data, expires_at)
                   SELECT current_date, id, 1, gen_random_uuid(), $1, 'fcm', 'Now', '', '{}', now() + interval '1 hour'
                   FROM made""",
                n,
            )
            await world.wake()
            await world.until(lambda: _titled(world, "Now", len(waited) + 1), 5)
            waited.append([a.at_ms for a in world.arrivals if a.title == "Now"][-1] - began_ms)
        assert max(waited) < 1000
        assert len(world.arrivals) < PEOPLE, "the bulk still runs"


async def _titled(world: Rig, title: str, count: int) -> bool:
    return len([a for a in world.arrivals if a.title == title]) >= count


async def test_a_campaigns_rate_holds_over_two_senders(world: Rig) -> None:
    number = await world.campaign()
    await world.database.execute(
        'UPDATE campaign SET spec = \'{"delivery": {"rate_per_s": 40}}\' WHERE id = $1', number
    )
    await world.queue(number, PEOPLE, "bulk")
    async with world.sender(), world.sender():
        await world.go()
        await asyncio.sleep(3.0)
        assert 80 <= len(world.arrivals) <= 140
