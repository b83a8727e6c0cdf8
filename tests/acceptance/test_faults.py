"""Every part is killed or paused in mid-run, the log is lost: nothing acknowledged is lost, nothing is doubled.

One world for all of it; each test judges everything that happened since the first.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID

import pytest
import pytest_asyncio

from engine.log.keys import PARTITIONS
from engine.postgres.pool import connect
from tests.acceptance.bodies import CORNER, SHOP, STREET, campaign, fresh, now
from tests.acceptance.traffic import Acknowledged, flowing
from tests.acceptance.verdict import judge
from tests.acceptance.world import World, running, start

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="the servers' death signals are Linux's"),
]

PEOPLE = 400
MOVED_S = 15.0
STOP_MS = 1_000
LATE_S = 1.0
"""People go on entering this long after the stop took effect."""
CUTS = 12


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world() -> AsyncIterator[World]:
    async with running() as one:
        yield one


@pytest.fixture(scope="module")
def promised() -> Acknowledged:
    return Acknowledged()


@pytest.mark.parametrize("name", ["api", "valkey", "postgres"])
async def test_kill_9(world: World, promised: Acknowledged, name: str) -> None:
    async with flowing(world, promised, PEOPLE) as traffic:
        await world.back(name, world.stack.kill(name, signal.SIGKILL))
        await traffic.some(12)
    await judge(world, promised)


async def test_kill_9_of_the_sender(world: World, promised: Acknowledged) -> None:
    """What it held is taken over when its lease ends: sent again under the same tag, or found sent."""
    async with flowing(world, promised, PEOPLE, counted=True) as traffic:
        await world.back("sender", world.stack.kill("sender", signal.SIGKILL))
        await traffic.some(12)
    await judge(world, promised, repeats=True)


async def test_a_stop_takes_effect_within_a_second(world: World, promised: Acknowledged) -> None:
    number = await start(world, "stop", campaign("stop", "corner", 64_000))
    people = await world.people(120)
    await world.pings(people, STREET)
    enough = asyncio.Event()
    entering = asyncio.create_task(_enter_one_by_one(world, people, enough))

    async def some_came() -> bool:
        return len(await _of(world, number)) > 5

    await world.until(some_came, "the first coupons")
    await world.good("POST", f"/v1/campaigns/{number}/stop", "retailer", None, fresh("key"))
    stopped_at_ms = time.time_ns() // 1_000_000
    late_ms = stopped_at_ms + STOP_MS
    await asyncio.sleep((STOP_MS + LATE_S * 1_000) / 1_000)
    enough.set()
    entered_at_ms = await entering
    await world.settled()
    decided = await _of(world, number)
    assert sum(at_ms > late_ms for at_ms in entered_at_ms) > 5, "people came in after the stop took effect"
    assert max(decided.values()) <= late_ms, "nothing was decided after that"
    sent = [one.at_ms for one in world.stand_in.ledger.since(0, {}, 10**9) if UUID(one.tag) in decided]
    assert sent and max(sent) <= late_ms, "nothing was sent after that"
    await judge(world, promised, repeats=True)


async def test_a_paused_matcher_is_replaced_and_writes_nothing_when_it_wakes(
    world: World, promised: Acknowledged
) -> None:
    await world.shared_by(2)
    async with flowing(world, promised, 3 * PEOPLE, counted=True) as traffic:
        epochs = await _epochs(world)
        world.stack.kill("matcher", signal.SIGSTOP)
        try:
            await world.until(lambda: _owners(world, 1), "the other matcher owns every partition", MOVED_S)
            await world.matched()
            await traffic.some(12)
            raised = [p for p, epoch in (await _epochs(world)).items() if epoch > epochs[p]]
            assert len(raised) == PARTITIONS // 2, "half of the partitions have a new owner, under a new epoch"
        finally:
            world.stack.kill("matcher", signal.SIGCONT)
        await traffic.some(12)
        await world.shared_by(2)  # it comes back as a new owner, by the front door
    await judge(world, promised, repeats=True)


async def test_an_owner_cut_off_from_its_locks_writes_nothing_more(world: World, promised: Acknowledged) -> None:
    """Its session ends and it does not know yet: where the other matcher is quicker, it goes on as a zombie, at full
    speed. (A paused one finds its session dead before it finds anything else.) Cut until one has tried to commit."""
    await world.shared_by(2)
    async with flowing(world, promised, 2 * PEOPLE, counted=True) as traffic:
        for _ in range(CUTS):
            epochs = await _epochs(world)
            mine = await _cut(world)
            await world.until(partial(_raised, world, epochs, mine), "the partitions have new owners", MOVED_S)
            await traffic.some(8)
            await world.matched()
            if refused := _commits_refused(world):
                break
    assert refused, "no zombie tried, so nothing is proved"
    await judge(world, promised, repeats=True)


def _commits_refused(world: World) -> int:
    """Partitions that a matcher gave up because its commit moved no row."""
    logs = (world.stack.settings.data.parent / "logs").glob("matcher*.log")
    return sum(log.read_text().count("another owner") for log in logs)


async def _cut(world: World) -> list[int]:
    """End the session that holds the lock of partition 0; the partitions whose locks it held."""
    owners = await world.owned_by()
    pid = owners[0]
    superuser = await connect(world.stack.settings)
    await superuser.execute("SELECT pg_terminate_backend($1)", pid)
    await superuser.close()
    return [p for p, owner in owners.items() if owner == pid]


async def _raised(world: World, epochs: dict[int, int], partitions: list[int]) -> bool:
    now_are = await _epochs(world)
    return all(now_are[p] > epochs[p] for p in partitions) and len(await world.owned_by()) == PARTITIONS


async def test_loss_of_all_valkey_data(world: World, promised: Acknowledged) -> None:
    """Nobody knows any more who is where: caps and coupons stand, and a first fix inside a fence proves no arrival."""
    known, new = promised.walked[:20], await world.people(40)
    again = await _twice(world)
    names = dict(await world.ask("SELECT p, log_epoch FROM partition"))
    shutil.rmtree(world.stack.settings.data / "valkey" / "appendonlydir")
    before = world.stack.kill("valkey", signal.SIGKILL)
    headers = {"Authorization": f"Bearer {world.keys['app']}"}
    body = {"pings": [{"customer": known[0], "lat": SHOP[0], "lng": SHOP[1], "at": now()}]}
    answer = await world.client.post("/v1/pings", json=body, headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await world.back("valkey", before)
    await world.pings(known + new, SHOP)
    await world.settled()
    renamed = dict(await world.ask("SELECT p, log_epoch FROM partition WHERE reset_at IS NOT NULL"))
    assert renamed.keys() == names.keys() and all(renamed[p] != names[p] for p in names), "the loss was noticed"
    assert not await _given(world, new), "a first fix inside makes no offer"
    assert await world.one("SELECT sum(n) FROM tally WHERE name = 'reason.after_reset'") == len(known + new)
    await world.pings(known + new, STREET)
    await world.pings(known + new, SHOP)
    await world.settled()
    promised.walked += new  # now they have arrived; those known before have had theirs
    await again()
    await judge(world, promised, repeats=True)


async def _twice(world: World) -> Callable[[], Awaitable[None]]:
    """People come to a campaign that allows two coupons; the answer repeats their reports word for word, as a backend
    does that is not sure of them, and no cap forbids a second coupon then: only the ids do."""
    number = await start(world, "twice", campaign("twice", "corner", 64_000, cap={"coupons": 2, "per_days": 1}))
    people = await world.people(20)
    reports = [(STREET, now(-2)), (CORNER, now(-1))]

    async def report() -> None:
        for place, at in reports:
            await world.pings(people, place, at)
        await world.settled()
        met = await world.ask(  # who stood at the corner when it began has met it too
            "SELECT c.id FROM decision d JOIN customer c ON c.number = d.customer WHERE d.campaign = $1", number
        )
        assert sorted(row["id"] for row in met if row["id"] in people) == sorted(people)

    await report()
    return report


async def test_kill_9_of_a_matcher(world: World, promised: Acknowledged) -> None:
    async with flowing(world, promised, PEOPLE, counted=True) as traffic:
        epochs = await _epochs(world)
        world.stack.kill("matcher", signal.SIGKILL)
        await world.until(lambda: _owners(world, 1), "the other matcher owns every partition", MOVED_S)
        await traffic.some(12)
    assert await _epochs(world) != epochs
    await judge(world, promised, repeats=True)


async def _owners(world: World, matchers: int) -> bool:
    owners = await world.owned_by()
    return len(owners) == PARTITIONS and len(set(owners.values())) == matchers


async def _epochs(world: World) -> dict[int, int]:
    return dict(await world.ask("SELECT p, epoch FROM partition"))


async def _enter_one_by_one(world: World, people: list[str], enough: asyncio.Event) -> list[int]:
    """Walk them in, 25 ms apart, until there are enough; when each was acknowledged, epoch milliseconds."""
    entered_at_ms = []
    for one in people:
        if enough.is_set():
            break
        await world.pings([one], CORNER)
        entered_at_ms.append(time.time_ns() // 1_000_000)
        await asyncio.sleep(0.025)
    return entered_at_ms


async def _of(world: World, number: int) -> dict[UUID, int]:
    """Decisions of a campaign and their log time."""
    sql = "SELECT id, (extract(epoch FROM logged_at) * 1000)::bigint FROM decision WHERE campaign = $1"
    return dict(await world.ask(sql, number))


async def _given(world: World, people: list[str]) -> int:
    sql = "SELECT count(*) FROM coupon k JOIN customer c ON c.number = k.customer WHERE c.id = ANY ($1)"
    given: int = await world.one(sql, people)
    return given
