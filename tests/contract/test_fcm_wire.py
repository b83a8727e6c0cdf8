"""The real channel against the real stand-in, by TLS and HTTP/2; the rows of the answers' table: `test_fcm_rows`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.channels.fcm import FcmChannel
from engine.channels.fcm_payload import MESSAGE_KEY
from engine.channels.fcm_vendor import Vendor
from engine.channels.fcm_wire import TIMEOUT_S, HttpWire, Way
from engine.channels.push import Verdict
from engine.standin.script import EVERYBODY, Answer, Script
from engine.standin.server import serving
from tests.contract.fcm_rig import CLOCK, LIFE_S, Rig, push, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize("kind", ["token", "fid"])
async def test_a_good_message_arrives_once_and_whole(rig: Rig, kind: Literal["token", "fid"]) -> None:
    message = push("phone-1", kind)
    outcome = await rig.send(message)
    assert outcome.verdict is Verdict.SENT
    [row] = rig.arrivals(message)
    assert outcome.provider_id == row["name"]
    assert (row["kind"], row["tag"], row["accepted"]) == (kind, str(message.decision_id), True)
    assert row["data"] == {"coupon": "CODE-1", MESSAGE_KEY: str(message.message_id)}
    assert 595 <= row["ttl_s"] < 600
    assert abs(row["at_ms"] - CLOCK.now_ms()) < 5000, "the ledger runs on engine time"


async def test_a_refused_bearer_is_renewed_once_and_the_message_resent_once(rig: Rig) -> None:
    outcome, arrivals = await rig.scripted(Answer("unauthenticated"))
    assert outcome.verdict is Verdict.SENT
    assert [row["status"] for row in arrivals] == [401, 200]
    assert rig.stand_in.issuer.grants == 2


async def test_a_second_401_stops_the_lane(rig: Rig) -> None:
    outcome, arrivals = await rig.scripted(Answer("unauthenticated", times=5))
    assert outcome.verdict is Verdict.LANE_STOP
    assert [row["status"] for row in arrivals] == [401, 401]


async def test_a_replacement_that_is_refused_at_once_is_an_incident_for_the_next_message_too(rig: Rig) -> None:
    """The issuer is not asked again and again for what does not help."""
    rig.stand_in.scripts.put(Script(EVERYBODY, [Answer("unauthenticated", times=9)]))
    first, second = push("phone-1"), push("phone-2")
    assert [(await rig.send(one)).verdict for one in (first, second)] == [Verdict.LANE_STOP] * 2
    assert [len(rig.arrivals(one)) for one in (first, second)] == [2, 1]
    assert rig.stand_in.issuer.grants == 2


@pytest.mark.parametrize("warm", [True, False])
async def test_what_waited_for_a_token_too_long_is_not_written(rig: Rig, warm: bool) -> None:
    """Consent was asked for when it was claimed; a token that comes when that is old comes too late for this claim."""
    message = push("phone-1")
    if warm:
        await rig.send(push("warm"))
        rig.stand_in.scripts.put(Script(message.registration, [Answer("unauthenticated", after_s=0.3)]))
    message.fresh_until_s = time.monotonic() + (0.25 if warm else 0.0)
    outcome = await rig.send(message)
    assert (outcome.verdict, outcome.retry_after_s) == (Verdict.UNPROCESSED, None)
    assert [row["status"] for row in rig.arrivals(message)] == [401] * warm
    message.fresh_until_s = time.monotonic() + 0.25
    assert (await rig.send(message)).verdict is Verdict.SENT, "claimed anew"


@asynccontextmanager
async def far_away(address: str, opening_s: float) -> AsyncIterator[str]:
    """A way to *address* that takes so long until it is there."""
    port = int(address.rsplit(":", 1)[1])
    pipes: list[asyncio.Task[None]] = []
    ends: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        await asyncio.sleep(opening_s)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ends.append(back)
        pipes.extend([asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))])

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for end in ends:
        end.close()
    await asyncio.gather(*pipes, *(end.wait_closed() for end in ends), return_exceptions=True)


async def test_what_waited_for_a_connection_too_long_is_not_written(rig: Rig) -> None:
    """Connections are made before a message is written on them, not under it."""
    async with far_away(rig.stand_in.tls_address, 0.6) as address:
        wire = HttpWire(Way(address, ca=rig.settings.fcm_ca))
        channel = FcmChannel(Vendor(rig.settings.fcm_service_account, address), wire)
        message = push("phone-1")
        message.fresh_until_s = time.monotonic() + 0.25
        assert (await channel.send(message, CLOCK.now_ms())).verdict is Verdict.UNPROCESSED
        assert rig.arrivals(message) == []
        message.fresh_until_s = time.monotonic() + 5.0
        assert (await channel.send(message, CLOCK.now_ms())).verdict is Verdict.SENT, "claimed anew"
        await channel.close()


async def test_revoked_bearers_cost_one_grant_for_all_senders(rig: Rig) -> None:
    await rig.send(push("warm"))
    rig.stand_in.issuer.revoke_all()
    outcomes = await asyncio.gather(*(rig.send(push(f"phone-{n}")) for n in range(20)))
    assert {o.verdict for o in outcomes} == {Verdict.SENT}
    assert rig.stand_in.issuer.grants == 2


async def test_a_stall_is_unknown_and_arrived_once(rig: Rig) -> None:
    channel = rig.impatient(1.0)
    message = push("phone-stalled")
    rig.stand_in.scripts.put(Script(message.registration, [Answer("stall")]))
    outcome = await channel.send(message, CLOCK.now_ms())
    await channel.close()
    assert outcome.verdict is Verdict.UNKNOWN
    assert [(row["status"], row["accepted"]) for row in rig.arrivals(message)] == [(0, True)]


async def test_an_ambiguous_send_repeated_by_us_shows_once(rig: Rig) -> None:
    message = push("phone-twice")
    rig.stand_in.scripts.put(Script(message.registration, [Answer("unavailable_accepted")]))
    assert (await rig.send(message)).verdict is Verdict.UNKNOWN
    assert (await rig.send(message)).verdict is Verdict.SENT
    assert {row["tag"] for row in rig.arrivals(message)} == {str(message.decision_id)}
    summary = rig.stand_in.ledger.summary()
    assert (summary["accepted"], summary["shown"], summary["repeated"]) == (2, 1, 1)


async def test_nothing_is_sent_after_expiry(rig: Rig) -> None:
    late = replace(push("phone-late"), expires_ms=CLOCK.now_ms())
    assert (await rig.send(late)).verdict is Verdict.EXPIRED
    assert rig.arrivals(late) == []


async def test_nothing_is_sent_after_expiry_with_a_token_at_hand(rig: Rig) -> None:
    await rig.send(push("warm"))
    late = replace(push("phone-late"), expires_ms=CLOCK.now_ms())
    assert (await rig.send(late)).verdict is Verdict.EXPIRED
    assert rig.arrivals(late) == []


async def test_a_faulty_payload_never_reaches_the_wire(rig: Rig) -> None:
    big = replace(push("phone-big"), data={"k": "x" * 5000})
    assert (await rig.send(big)).verdict is Verdict.PAYLOAD_FAULT
    assert rig.arrivals(big) == []


async def test_an_empty_registration_stops_no_campaign(rig: Rig) -> None:
    assert (await rig.send(push(""))).verdict is Verdict.DEAD_REGISTRATION


async def test_an_absent_fcm_is_unprocessed(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    channel = FcmChannel(Vendor(rig.settings.fcm_service_account, nobody), HttpWire(Way(nobody)))
    outcome = await channel.send(push("phone-1"), CLOCK.now_ms())
    await channel.close()
    assert (outcome.verdict, outcome.retry_after_s) == (Verdict.UNPROCESSED, 1.0)


async def test_a_grant_lives_as_long_as_the_issuer_says_in_every_time_zone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Vendor(rig.settings.fcm_service_account, rig.settings.fcm_base_url)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        grant = await asyncio.to_thread(vendor.grant)
    finally:
        monkeypatch.undo()
        time.tzset()
        vendor.close()
    assert LIFE_S - 5 < grant.life_s <= LIFE_S


async def test_an_absent_issuer_pauses_the_lane(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=CLOCK) as stand_in:
        rig = Rig(stand_in)
    outcome = await rig.send(push("phone-1"))
    await rig.channel.close()
    assert (outcome.verdict, outcome.retry_after_s) == (Verdict.LANE_PAUSE, 10.0)


async def test_a_key_the_issuer_does_not_know_stops_the_lane(tmp_path: Path) -> None:
    async with serving(tmp_path / "one", clock=CLOCK) as one, serving(tmp_path / "two", clock=CLOCK) as two:
        account = msgspec.json.decode(one.service_account.read_bytes())
        account["token_uri"] = f"{two.address}/token"
        one.service_account.write_bytes(msgspec.json.encode(account))
        rig = Rig(one)
        outcome = await rig.send(push("phone-1"))
        await rig.channel.close()
    assert (outcome.verdict, outcome.detail) == (Verdict.LANE_STOP, "credentials: invalid_grant")


async def test_a_foreign_project_is_configuration(rig: Rig) -> None:
    account = msgspec.json.decode(rig.stand_in.service_account.read_bytes())
    rig.stand_in.service_account.write_bytes(msgspec.json.encode({**account, "project_id": "elsewhere"}))
    foreign = FcmChannel.open(rig.settings)
    outcome = await foreign.send(push("phone-1"), CLOCK.now_ms())
    await foreign.close()
    assert outcome.verdict is Verdict.LANE_STOP


async def test_secrets_stay_out_of_every_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Ours and the vendors' loggers at their most talkative, over good, refused and broken sends."""
    message = push("REGISTRATION-SECRET")
    rig.stand_in.scripts.put(
        Script(message.registration, [Answer(a) for a in ("ok", "bad_request", "unauthenticated", "ok", "reset")])
    )
    caplog.set_level(logging.WARNING, "hpack")  # the stand-in's end of the wire, in this very process
    with caplog.at_level(logging.DEBUG), capture_logs() as ours:
        outcomes = [await rig.send(message) for _ in range(5)]
    bearers = list(rig.stand_in.issuer._ends_ms)
    key = msgspec.json.decode(rig.stand_in.service_account.read_bytes())["private_key"]
    said = "\n".join([caplog.text, repr(ours), repr(outcomes), repr(message), repr(rig.channel)])
    assert ours, "the channel does log"
    assert len(bearers) == 2
    for secret in [message.registration, "CODE-1", *bearers, key.split("\n")[1]]:
        assert secret not in said


def test_the_products_patience_is_ten_seconds_at_least() -> None:
    assert TIMEOUT_S >= 10, "Firebase: shorter timeouts cause doubles"
