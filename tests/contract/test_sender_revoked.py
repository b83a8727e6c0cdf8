"""A no is obeyed within half a second of its 2xx, with a hundred thousand messages queued and FCM dawdling."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from engine.clock import Clock
from engine.http.keys import create_key
from engine.settings import Settings
from engine.standin.ledger import FILE, Arrival
from engine.standin.script import EVERYBODY, Answer, Script
from tests.contract import http_world
from tests.contract.http_bodies import a_campaign
from tests.contract.sender_rig import Rig, rig
from tests.contract.test_sender_killed import senders

LATEST_MS = 500
PEOPLE, CAMPAIGNS = 20_000, 5
REVOCATIONS = 150
SLOW_S, DAWDLING_S = 2.0, 8.0


async def test_what_waited_for_a_free_slot_is_asked_again(settings: Settings, tmp_path: Path) -> None:
    """Answers take so long that claims wait for a slot much longer than they are good for. How soon is proved below;
    here, on a machine as busy as it likes, that they are not written when the slots come free."""
    async with rig(settings, tmp_path, 1500) as world:
        world.script(EVERYBODY, Answer("ok", times=900), Answer("ok", after_s=DAWDLING_S, times=10_000))
        await world.queue(await world.campaign(), 1500)
        async with world.sender():
            await world.go()
            await world.until(lambda: _some(world, 1000))
            await asyncio.sleep(DAWDLING_S / 2)  # every slot is taken, and what is claimed waits
            await world.database.execute("UPDATE customer SET consents = 0")
            said_ms = Clock().now_ms()
            states = await world.ended()
        assert states[("suppressed", "no_consent")] == 1500 - len(world.arrivals) > 0
        assert [a.at_ms - said_ms for a in world.arrivals if a.at_ms > said_ms + DAWDLING_S * 250] == []


async def _some(world: Rig, count: int) -> bool:
    return len(world.arrivals) >= count


@asynccontextmanager
async def stand_in(folder: Path) -> AsyncIterator[Settings]:
    """FCM in a process of its own, by HTTP/2, so that nothing here makes it late; every tenth answer takes its time.

    (Over HTTP/1.1 each message under way needs a connection of its own, and one SYN that is lost costs a second.)"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", "fcm-stand-in", "--port", "0", "--data", str(folder), "--tls",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    lines = [(await process.stdout.readline()).decode().strip() for _ in range(4)]
    told = Settings.read(dict(line.split("=", 1) for line in lines[1:]))
    pages = lines[0].split()[3].rstrip(",")
    answers = [Answer("ok", times=9, after_s=0.02), Answer("ok", after_s=SLOW_S)] * 5_000
    async with ClientBuilder().no_proxy().build() as client:
        script = msgspec.json.encode(Script(EVERYBODY, answers))
        request = client.post(f"{pages}/script").body_bytes(script)
        assert (await request.build().send()).status == 200
        try:
            yield told
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


@dataclass
class Noes:
    """Who said no, and when the 2xx was there: registration or title → epoch ms."""

    people: dict[str, int] = field(default_factory=dict)
    campaigns: dict[str, int] = field(default_factory=dict)
    longest_s: float = 0.0


NEXT = """
SELECT k.id FROM chunk c
JOIN message m ON m.day = c.day AND m.chunk = c.id AND m.seq BETWEEN c.cursor - 30 AND c.cursor + 300
JOIN customer k ON k.number = m.customer
WHERE c.leased_by IS NOT NULL AND k.consents <> 0 ORDER BY random() LIMIT 1
"""
"""Somebody whose message is about to go, or is on its way."""


async def refuse(world: Rig, api: http_world.World, numbers: list[int], noes: Noes) -> None:
    """People withdraw their consent one after the other; in between two campaigns are stopped."""
    chance = random.Random(6)
    for n in range(REVOCATIONS):
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        one = await world.database.fetchval(NEXT)
        if one is not None:
            began_s = time.monotonic()
            await api.good("PUT", f"/v1/customers/{one}/consents", "app", {"marketing_push": False})
            noes.people[f"r{one[1:]}"] = Clock().now_ms()
            noes.longest_s = max(noes.longest_s, time.monotonic() - began_s)
        if n in (REVOCATIONS // 2, REVOCATIONS - 1):
            number = numbers.pop(0)
            await api.good("POST", f"/v1/campaigns/{number}/stop", "shop", headers={"Idempotency-Key": f"stop{n}"})
            noes.campaigns[f"campaign {number}"] = Clock().now_ms()


async def campaigns(world: Rig) -> list[int]:
    """Each to everybody, with its number as the title."""
    numbers = []
    for n in range(CAMPAIGNS):
        number = await world.campaign(f"c{n}")
        spec = a_campaign(["s"]) | {"code": f"c{n}"}
        await world.database.execute("UPDATE campaign SET spec = $2 WHERE id = $1", number, spec)
        await world.database.execute(
            "INSERT INTO budget (campaign, retailer, total) VALUES ($1, 1, $2)", number, PEOPLE
        )
        await world.queue(number, PEOPLE)
        numbers.append(number)
    await world.database.execute("UPDATE message SET title = 'campaign ' || campaign")
    return numbers


@pytest.mark.slow
async def test_with_a_hundred_thousand_queued(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fcm").mkdir()
    async with rig(settings, tmp_path, PEOPLE) as world, stand_in(tmp_path / "fcm") as told:
        numbers = await campaigns(world)
        sending = replace(
            world.settings, fcm_base_url=told.fcm_base_url, fcm_service_account=told.fcm_service_account,
            fcm_ca=told.fcm_ca, fcm_quota_per_s=1000,
        )  # fmt: skip
        noes = Noes()
        async with http_world.running(world.settings) as api, senders(sending, tmp_path / "log") as alive:
            api.keys["shop"] = (await create_key(api.database, "retailer", 1, "shop")).text
            for _ in range(2):
                await alive.start()
            await world.go()
            await asyncio.sleep(2.0)
            await refuse(world, api, numbers, noes)
            queued = await world.database.fetchval("SELECT count(*) FROM message_state WHERE state = 'queued'")
            await asyncio.sleep(2.0)
            for pid in list(alive.living):
                alive.end(pid, signal.SIGTERM)
            await asyncio.sleep(SLOW_S + 1.0)
        states = await world.states()
    lines = (tmp_path / "fcm" / FILE).read_bytes().splitlines()
    arrivals = [msgspec.json.decode(line, type=Arrival) for line in lines]
    told_ms = judge(arrivals, noes)
    with capsys.disabled():
        print(f"\n  {len(arrivals)} sent, {queued} queued, {dict(states)}")
        print(
            f"  {len(noes.people)} said no, {len(noes.campaigns)} campaigns stopped; slowest 2xx {noes.longest_s:.2f} s"
        )
        print(f"  latest send after a 2xx: {told_ms} ms")
    assert len(noes.people) > REVOCATIONS // 2 and len(noes.campaigns) == 2 and queued > 10_000
    assert states[("suppressed", "no_consent")] > 0 and states[("suppressed", "campaign_stopped")] > 0


def judge(arrivals: list[Arrival], noes: Noes) -> int:
    """How late the latest send to somebody who had said no began; asserts that it was in time."""
    late = [a.at_ms - noes.people[a.registration] for a in arrivals if a.registration in noes.people]
    late += [a.at_ms - noes.campaigns[a.title] for a in arrivals if a.title in noes.campaigns]
    assert any(-2000 < one <= 0 for one in late), "they were being sent to"
    assert max(late) <= LATEST_MS, sorted(late)[-20:]
    return max(late)
