"""Every row of the table of FCM's answers, on the wire: what the channel reads, what the whole sender then does.

The rows are the code's own (`fcm_answer.TABLE`, `NO_ANSWER`), which the README prints; what each must come to is
written here once more, from FCM's documentation, so that neither a missing row nor a changed one goes unnoticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from engine.channels.fcm_answer import NO_ANSWER, TABLE, Row
from engine.channels.push import Verdict
from engine.sender.beyond import BEYOND, Beyond
from engine.settings import Settings
from engine.standin.script import FAULTS, Answer, Script
from engine.standin.server import Manners
from tests.contract import sender_rig
from tests.contract.fcm_rig import CLOCK, Rig, push, running

ROWS = {row.says: row for row in (*TABLE, *NO_ANSWER)}


@dataclass(frozen=True)
class Case:
    """One way to provoke a row. *waits_s* is the answer's `Retry-After` as the channel must read it."""

    row: str
    answer: Answer
    verdict: Verdict
    waits_s: float | None = None
    arrivals: int = 1


def case(row: str, name: str, verdict: Verdict, waits_s: float | None = None, **more: Any) -> Case:
    arrivals = more.pop("arrivals", 1)
    return Case(row, Answer(name, **more), verdict, waits_s, arrivals)


BLAMED = "400 INVALID_ARGUMENT, FcmError, blames the registration"
QUOTA = "429 otherwise"
GATEWAY = "503, 502, 504 and any other 5xx"
CUT = "none: timeout, reset, cut short"
REFUSED = "none: REFUSED_STREAM, or above GOAWAY's last id"
CASES = [
    case("200 with a name", "ok", Verdict.SENT),
    case("200 with a name", "ok", Verdict.SENT, retry_after="30"),
    case("200 with a name", "ok", Verdict.SENT, after_s=0.3),
    case(BLAMED, "invalid_registration", Verdict.DEAD_REGISTRATION),
    case(BLAMED, "invalid_registration_field", Verdict.DEAD_REGISTRATION),
    case("400 otherwise", "bad_request", Verdict.PAYLOAD_FAULT),
    case("400 otherwise", "bad_request_bare", Verdict.PAYLOAD_FAULT),
    case("400 otherwise", "invalid_payload", Verdict.PAYLOAD_FAULT),
    case("401 THIRD_PARTY_AUTH_ERROR", "third_party_auth", Verdict.SUBLANE_STOP),
    case("401 otherwise, also to a fresh access token", "unauthenticated", Verdict.LANE_STOP, times=9, arrivals=2),
    case("403 SENDER_ID_MISMATCH", "sender_id_mismatch", Verdict.REMOVED),
    case("403 otherwise", "forbidden", Verdict.LANE_STOP),
    case("404 UNREGISTERED", "unregistered", Verdict.REMOVED),
    case("404 otherwise", "not_found", Verdict.LANE_STOP),
    case("408", "request_timeout", Verdict.UNKNOWN),
    case("413", "too_large", Verdict.PAYLOAD_FAULT),
    case("429, QuotaFailure names a device", "quota_device", Verdict.DEVICE_BACKOFF, 60.0),
    case("429, QuotaFailure names a device", "quota_device", Verdict.DEVICE_BACKOFF, 15.0, retry_after="15"),
    case(QUOTA, "quota_project", Verdict.LANE_PAUSE, 60.0),
    case(QUOTA, "quota_project", Verdict.LANE_PAUSE, 7.0, retry_after="7"),
    case(QUOTA, "quota_bare", Verdict.LANE_PAUSE, 90.0, retry_after="date+90"),
    case("500", "internal", Verdict.RETRY),
    case("500", "internal", Verdict.RETRY, 33.0, retry_after="33"),
    case(GATEWAY, "unavailable", Verdict.UNKNOWN),
    case(GATEWAY, "unavailable", Verdict.UNKNOWN, 12.0, retry_after="12"),
    case(GATEWAY, "unavailable", Verdict.UNKNOWN, 120.0, retry_after="date+120"),
    case(GATEWAY, "unavailable_accepted", Verdict.UNKNOWN),
    case(GATEWAY, "bad_gateway", Verdict.UNKNOWN),
    case(GATEWAY, "gateway_timeout", Verdict.UNKNOWN),
    case("any other 2xx", "nameless", Verdict.UNKNOWN),
    case("any other answer, a redirect too", "redirect", Verdict.LANE_STOP),
    case(CUT, "stall", Verdict.UNKNOWN),
    case(CUT, "reset", Verdict.UNKNOWN),
    case(CUT, "hang_up", Verdict.UNKNOWN),
    case(CUT, "cut_stream", Verdict.UNKNOWN),
    case(REFUSED, "refused_stream", Verdict.UNPROCESSED, times=99, arrivals=-1),
    case(REFUSED, "goaway", Verdict.UNPROCESSED, times=99, arrivals=-1),
]
NAMES = [f"{one.row}: {one.answer.answer} {one.answer.retry_after}".rstrip() for one in CASES]
ELSEWHERE = {"none: no connection"}
"""No server can play this one: `test_fcm_wire.test_an_absent_fcm_is_unprocessed`."""


def test_every_row_is_provoked_and_every_fault_is_used() -> None:
    assert {one.row for one in CASES} | ELSEWHERE == set(ROWS), "a row without a case, or a case without its row"
    assert {one.answer.answer for one in CASES} == set(FAULTS), "the stand-in can do what no row asks for"
    assert len(ROWS) == len(TABLE) + len(NO_ANSWER), "two rows of one name"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One for all rows of the table: each of them has a phone of its own."""
    async with running(tmp_path_factory.mktemp("rows")) as rig:
        yield rig


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("one", CASES, ids=NAMES)
async def test_the_channel_reads(lasting: Rig, one: Case) -> None:
    """Each answer is read right, and none makes the transport send again (pyfcm's own would, for five of them)."""
    channel = lasting.impatient(1.0 if one.answer.answer == "stall" else 15.0)
    message = push(f"phone-{uuid4()}")
    lasting.stand_in.scripts.put(Script(message.registration, [one.answer]))
    outcome = await channel.send(message, CLOCK.now_ms())
    await channel.close()
    row, arrivals = ROWS[one.row], lasting.arrivals(message)
    assert (outcome.verdict, outcome.retry_after_s) == (one.verdict, one.waits_s)
    assert (row.verdict, row.default_wait_s) == (one.verdict, 60.0 if "429" in one.row else None), "as the README says"
    if one.arrivals > 0:
        assert [a["answer"] for a in arrivals] == [one.answer.answer] * one.arrivals
    assert {a["accepted"] for a in arrivals} == {FAULTS[one.answer.answer].accepted}
    assert (outcome.detail == "no answer") is (one.row == CUT)


# ── what the whole sender does then ──

OTHERS = 30
"""Messages of a sound campaign behind the one that meets the fault."""
GONE = {Beyond.QUARANTINE: "quarantined", Beyond.REMOVE: "removed"}
MESSAGE = {
    # verdict: (state of the message afterwards, least and most seconds until it is tried again, attempts charged)
    Verdict.SENT: ("sent", 0, 0, 1),
    Verdict.DEAD_REGISTRATION: ("failed", 0, 0, 1),
    Verdict.REMOVED: ("failed", 0, 0, 1),
    Verdict.PAYLOAD_FAULT: ("failed", 0, 0, 1),
    Verdict.SUBLANE_STOP: ("failed", 0, 0, 1),  # nobody else to fall back to: see test_sender
    Verdict.LANE_STOP: ("queued", 60, 120, 0),
    Verdict.LANE_PAUSE: ("queued", 60, 120, 0),
    Verdict.DEVICE_BACKOFF: ("queued", 60, 60, 1),
    Verdict.RETRY: ("queued", 10, 15, 1),
    Verdict.UNKNOWN: ("queued", 10, 15, 1),
    Verdict.UNPROCESSED: ("sent", 0, 0, 1),
}
STOPPED = {Beyond.STOP_LANES, Beyond.PAUSE_LANES}
REPEATED = {"refused_stream", "goaway"}
"""The client itself repeats these; once is enough to see the message go out again."""


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.says not in ELSEWHERE], ids=lambda row: row.says)
async def test_the_sender_does(settings: Settings, tmp_path: Path, row: Row) -> None:
    """Message, registration, campaign and lanes after the row's first case; a sound campaign's messages follow."""
    one = next(
        one for one in CASES if one.row == row.says and one.answer.answer != "stall" and not one.answer.retry_after
    )
    async with sender_rig.rig(settings, tmp_path, OTHERS + 1, Manners(tls=True)) as world:
        met, sound = await world.campaign("met"), await world.campaign("sound")
        world.script("r0", once(one.answer))
        await world.database.execute("UPDATE device SET platform = 'ios' WHERE customer = 0")
        await world.queue(met, 1)
        async with world.sender():
            await world.go()
            await world.until(lambda: _came(world, one.answer.answer))
            await world.until(lambda: _booked(world, met))
            await world.queue(sound, OTHERS + 1)
            await world.go()
            await _settled(world, sound, BEYOND[row.verdict] in STOPPED)
            if MESSAGE[row.verdict][0] != "queued":
                await world.until(lambda: _ended(world, met))
        await check(world, met, sound, row.verdict)


def once(answer: Answer) -> Answer:
    return Answer(answer.answer) if answer.answer in REPEATED else answer


async def _came(world: sender_rig.Rig, answer: str) -> bool:
    return any(a.answer == answer for a in world.arrivals)


async def _booked(world: sender_rig.Rig, campaign: int) -> bool:
    return bool(
        await world.database.fetchval(
            "SELECT count(*) FROM outcome o JOIN message m USING (day, chunk, seq) WHERE m.campaign = $1", campaign
        )
    )


async def _ended(world: sender_rig.Rig, campaign: int) -> bool:
    """Tried again at once where it may be, and then no more."""
    state = await world.database.fetchval("SELECT state FROM message_state WHERE campaign = $1", campaign)
    return state not in ("queued", "leased")


async def _settled(world: sender_rig.Rig, campaign: int, stopped: bool) -> None:
    """Wait until the sound campaign is through, or long enough to see that nothing of it goes."""
    if stopped:
        await asyncio.sleep(0.7)
        return
    sent = "SELECT count(*) = $2 FROM message_state WHERE campaign = $1 AND customer <> 0 AND state = 'sent'"
    await world.until(lambda: world.database.fetchval(sent, campaign, OTHERS))


async def check(world: sender_rig.Rig, met: int, sound: int, verdict: Verdict) -> None:
    state, least_s, most_s, attempts = MESSAGE[verdict]
    row = await world.database.fetchrow(
        "SELECT s.state, s.attempts, extract(epoch FROM s.due_at - o.at)::float8 AS waits_s FROM message_state s"
        " LEFT JOIN (SELECT m.id, max(o.at) AS at FROM message m JOIN outcome o USING (day, chunk, seq) GROUP BY 1) o"
        " USING (id) WHERE s.campaign = $1",
        met,
    )
    assert row["state"] == state
    assert row["attempts"] == attempts
    if state == "queued":
        assert least_s - 0.05 <= row["waits_s"] <= most_s + 0.5
    what = BEYOND[verdict]
    devices = {r["registration"]: r["state"] for r in await world.database.fetch("SELECT * FROM device")}
    assert devices.pop("r0") == GONE.get(what, "active")
    assert set(devices.values()) == {"active"}
    campaigns = {r["id"]: r["stopped"] for r in await world.database.fetch("SELECT id, stopped FROM campaign")}
    assert campaigns == {met: what is Beyond.STOP_CAMPAIGN, sound: False}
    went = sum(a.registration != "r0" for a in world.arrivals)
    assert went == (0 if what in STOPPED else OTHERS)
