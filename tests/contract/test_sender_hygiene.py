"""Dead registrations leave within a second of the answer; no fault of a payload or of a project takes one away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from engine.settings import Settings
from engine.standin.limits import Limits
from engine.standin.script import EVERYBODY, Answer
from engine.standin.server import Manners
from tests.contract.sender_rig import Rig, rig

PEOPLE = 800
BUSY_MS = 30_000
"""How soon they leave a machine as busy as it likes; that it is a second is a slow test's."""
DEAD = {
    "r1": ("invalid_registration", "quarantined"),
    "r2": ("invalid_registration_field", "quarantined"),
    "r3": ("unregistered", "removed"),
    "r4": ("sender_id_mismatch", "removed"),
}
STATES = "SELECT registration, state FROM device WHERE state <> 'active'"
LEFT = "SELECT registration, (extract(epoch FROM state_at) * 1000)::bigint AS at_ms FROM device WHERE state <> 'active'"


@pytest.fixture
async def world(settings: Settings, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(settings, tmp_path, PEOPLE, Manners(tls=True)) as one:
        yield one


def dead_among_them(world: Rig) -> None:
    for registration, (answer, _) in DEAD.items():
        world.script(registration, Answer(answer, times=1000))


async def gone(world: Rig) -> dict[str, str]:
    return {row["registration"]: row["state"] for row in await world.database.fetch(STATES)}


async def all_dead_are_gone(world: Rig) -> bool:
    return len(await gone(world)) == len(DEAD)


async def only_the_dead_left(world: Rig, within_ms: int = BUSY_MS) -> None:
    """By the stand-in's ledger and the database's clock, which is this machine's."""
    assert await gone(world) == {registration: state for registration, (_, state) in DEAD.items()}
    first_ms: dict[str, int] = {}
    for one in world.arrivals:
        if one.answer in {answer for answer, _ in DEAD.values()}:
            first_ms.setdefault(one.registration, one.at_ms)
    waits = {r["registration"]: r["at_ms"] - first_ms[r["registration"]] for r in await world.database.fetch(LEFT)}
    assert waits.keys() == DEAD.keys() and max(waits.values()) <= within_ms, waits


async def test_the_dead_leave_and_those_in_trouble_stay(world: Rig) -> None:
    await the_dead_leave(world)
    await only_the_dead_left(world)


@pytest.mark.slow
async def test_the_dead_leave_within_a_second(world: Rig) -> None:
    await the_dead_leave(world)
    await only_the_dead_left(world, 1000)


async def the_dead_leave(world: Rig) -> None:
    # What breaks the connection takes the answers of others with it, and is met alone in `test_fcm_rows`.
    alive = ("third_party_auth", "quota_device", "internal", "unavailable", "bad_gateway", "cut_stream")
    dead_among_them(world)
    for n, answer in enumerate(alive):
        world.script(f"r{n + 5}", Answer(answer))
    await world.database.execute("UPDATE device SET platform = 'ios' WHERE registration = 'r5'")
    await world.queue(await world.campaign(), 20)
    async with world.sender():
        await world.go()
        await world.until(lambda: all_dead_are_gone(world))
        await asyncio.sleep(0.5)
    assert {a.answer for a in world.arrivals} >= set(alive), "each was tried"


async def test_one_that_was_registered_anew_meanwhile_stays(world: Rig) -> None:
    """The answer is about a registration of before; it was made again while FCM thought about it."""
    world.script("r0", Answer("unregistered", after_s=0.5))
    await world.queue(await world.campaign(), 1)
    async with world.sender():
        await world.go()
        await world.until(lambda: _arrived(world))
        await world.database.execute("UPDATE device SET registered_at = candlemaker_now() WHERE registration = 'r0'")
        assert await world.ended() == {("failed", "404 NOT_FOUND UNREGISTERED"): 1}
    assert await gone(world) == {}


async def _arrived(world: Rig) -> bool:
    return bool(world.arrivals)


@pytest.mark.parametrize("fault", ["bad_request", "bad_request_bare", "invalid_payload"])
async def test_a_poisoned_payload_stops_its_campaign_and_purges_nobody(world: Rig, fault: str) -> None:
    """The dead among those whom it was sent to leave all the same."""
    poisoned, sound = await world.campaign("poisoned"), await world.campaign("sound")
    dead_among_them(world)
    world.script(EVERYBODY, Answer(fault, times=PEOPLE, after_s=0.5))  # the dead are answered first
    await world.queue(poisoned, PEOPLE)
    async with world.sender():
        await world.go()
        states = await world.ended()
        assert await world.database.fetchval("SELECT stopped FROM campaign WHERE id = $1", poisoned)
        tried = sum(n for (state, _), n in states.items() if state == "failed")
        assert states.get(("suppressed", "campaign_stopped"), 0) == PEOPLE - tried
        assert 0 < tried < PEOPLE * 3 // 4, "what was not on the wire when the first answer came was not sent"
        assert sum(a.answer == fault for a in world.arrivals) > 0
        world.script(EVERYBODY)
        await world.queue(sound, 10)
        await world.go()
        assert (await world.ended())[("sent", "200")] == 10 - len(DEAD)
    assert not await world.database.fetchval("SELECT stopped FROM campaign WHERE id = $1", sound)
    await only_the_dead_left(world)


@pytest.mark.parametrize("fault", ["forbidden", "not_found"])
async def test_a_fault_of_configuration_stops_the_lane_and_purges_nobody(world: Rig, fault: str) -> None:
    """An IAM 403 and a wrong project's 404: the lane stops, its chunks go back, registrations and campaigns stay."""
    dead_among_them(world)
    world.script(EVERYBODY, Answer(fault, times=PEOPLE, after_s=0.5))  # the dead are answered first
    await world.queue(await world.campaign(), PEOPLE)
    async with world.sender():
        await world.go()
        await world.until(lambda: world.database.fetchval("SELECT count(*) = 0 FROM chunk WHERE leased_by IS NOT NULL"))
        await world.until(lambda: all_dead_are_gone(world))
        assert await world.database.fetchval("SELECT count(*) FROM campaign WHERE state = 'live'") == 1
        assert 0 < sum(a.answer == fault for a in world.arrivals) < PEOPLE * 3 // 4
    states = await world.states()
    assert sum(n for (state, _), n in states.items() if state in {"queued", "leased"}) == PEOPLE - len(DEAD)
    await only_the_dead_left(world)


async def test_credentials_of_another_project_purge_nobody(world: Rig, tmp_path: Path) -> None:
    """No script: the service-account file itself names a project that the key may not send for."""
    account = msgspec.json.decode(world.stand_in.service_account.read_bytes())
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(msgspec.json.encode({**account, "project_id": "elsewhere"}))
    await world.queue(await world.campaign(), PEOPLE)
    async with world.sender(fcm_service_account=str(wrong)):
        await world.go()
        await world.until(lambda: _arrived(world))
        await asyncio.sleep(1.0)
    assert {a.status for a in world.arrivals} == {403}
    assert await gone(world) == {}
    assert {state for state, _ in await world.states()} <= {"queued", "leased"}, "nothing has ended"


async def test_a_bearer_that_is_revoked_under_way_costs_nobody_anything(settings: Settings, tmp_path: Path) -> None:
    async with rig(settings, tmp_path, PEOPLE, Manners(tls=True)) as world:
        await world.queue(await world.campaign(), PEOPLE)
        async with world.sender(fcm_quota_per_s=1000):
            await world.go()
            await world.until(lambda: _many(world, 300))
            world.stand_in.issuer.revoke_all()
            assert await world.ended() == {("sent", "200"): PEOPLE}
        refused = [a for a in world.arrivals if a.status == 401]
        assert 0 < len(refused) < 400, "the lane waited for the new one instead of trying on with the old"
        assert world.stand_in.issuer.grants == 2
        assert sum(a.accepted for a in world.arrivals) == PEOPLE
        assert await gone(world) == {}


async def _many(world: Rig, count: int) -> bool:
    return len(world.arrivals) >= count


async def test_a_short_life_of_bearers_is_never_noticed(settings: Settings, tmp_path: Path) -> None:
    """They live three seconds and are renewed before: not one message is answered 401."""
    async with rig(settings, tmp_path, PEOPLE, Manners(life_s=3)) as world:
        await world.queue(await world.campaign(), PEOPLE)
        async with world.sender(fcm_quota_per_s=250):
            await world.go()
            assert await world.ended() == {("sent", "200"): PEOPLE}
        assert {a.status for a in world.arrivals} == {200}
        assert world.stand_in.issuer.grants >= 2


async def test_a_projects_own_quota_pauses_all_and_loses_nobody(settings: Settings, tmp_path: Path) -> None:
    """The stand-in's bucket, no script: 500 a minute, and a sender that believes in more."""
    async with rig(settings, tmp_path, PEOPLE, Manners(limits=Limits(project_a_minute=500), tls=True)) as world:
        await world.queue(await world.campaign(), PEOPLE)
        async with world.sender():
            await world.go()
            await world.until(lambda: _many(world, 501))
            await asyncio.sleep(1.0)
            at_once = len(world.arrivals)
            await asyncio.sleep(1.0)
            assert len(world.arrivals) == at_once, "it keeps still for as long as it was told"
        assert sum(a.accepted for a in world.arrivals) == 500
        assert len(world.arrivals) < 500 + 300, "what was on the wire, no more"
        waits = sum(n for (state, _), n in (await world.states()).items() if state in {"queued", "leased"})
        assert waits == PEOPLE - 500 and await gone(world) == {}
