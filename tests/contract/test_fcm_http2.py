"""HTTP/2 against the stand-in: what was never processed is told from what may have been, and limits are kept."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event, RemoteSettingsChanged, ResponseReceived, StreamReset
from h2.settings import SettingCodes

from engine.channels.fcm import FcmChannel
from engine.channels.fcm_vendor import Vendor
from engine.channels.fcm_wire import CONNECTIONS, STREAMS, HttpWire, Way
from engine.channels.push import Verdict
from engine.standin.script import EVERYBODY, Answer, Script
from tests.contract.fcm_rig import CLOCK, Rig, push, running


@pytest.mark.parametrize("tls", [True, False])
async def test_messages_come_by_http2_over_tls_and_by_http1_in_the_clear(tmp_path: Path, tls: bool) -> None:
    async with running(tmp_path, tls=tls) as rig:
        outcome, [row] = await rig.scripted()
        assert outcome.verdict is Verdict.SENT
        assert (row["stream"] > 0) is tls


@pytest.mark.parametrize(
    ("answer", "verdict", "arrivals"),
    [
        # The client repeats by itself what provably was not processed, and gives up when that does not end.
        ([Answer("refused_stream")], Verdict.SENT, ["refused_stream", "ok"]),
        ([Answer("goaway")], Verdict.SENT, ["goaway", "ok"]),
        ([Answer("cut_stream")], Verdict.UNKNOWN, ["cut_stream"]),
        ([Answer("hang_up")], Verdict.UNKNOWN, ["hang_up"]),
        ([Answer("reset")], Verdict.UNKNOWN, ["reset"]),
    ],
)
async def test_the_unprocessed_is_told_from_the_unknown(
    tmp_path: Path, answer: list[Answer], verdict: Verdict, arrivals: list[str]
) -> None:
    async with running(tmp_path) as rig:
        outcome, rows = await rig.scripted(*answer)
        assert outcome.verdict is verdict
        assert [row["answer"] for row in rows] == arrivals
        assert sum(row["accepted"] for row in rows) == 1


@pytest.mark.parametrize("answer", ["refused_stream", "goaway"])
async def test_what_is_refused_to_the_end_is_unprocessed(tmp_path: Path, answer: str) -> None:
    async with running(tmp_path) as rig:
        outcome, rows = await rig.scripted(Answer(answer, times=1000))
        assert (outcome.verdict, outcome.retry_after_s) == (Verdict.UNPROCESSED, None)
        assert {row["answer"] for row in rows} <= {answer, "above_goaway"}


async def test_goaway_below_a_crowd_loses_and_doubles_nobody(tmp_path: Path) -> None:
    """Of a hundred messages on one connection each twentieth is met by GOAWAY: all arrive, each is accepted once."""
    async with running(tmp_path) as rig:
        for n in range(0, 100, 20):
            rig.stand_in.scripts.put(Script(f"phone-{n}", [Answer("goaway")]))
        rig.stand_in.scripts.put(Script(EVERYBODY, [Answer("ok", after_s=0.05, times=1000)]))
        messages = [push(f"phone-{n}") for n in range(100)]
        outcomes = Counter([o.verdict for o in await asyncio.gather(*map(rig.send, messages))])
        left = [m for m in messages if not any(row["accepted"] for row in rig.arrivals(m))]
        assert outcomes == Counter({Verdict.SENT: 100 - len(left), Verdict.UNPROCESSED: len(left)}) - Counter()
        again = await asyncio.gather(*map(rig.send, left))
        assert {o.verdict for o in again} <= {Verdict.SENT}
        accepted = Counter(a.registration for a in rig.stand_in.ledger.since(0, {}, 10_000) if a.accepted)
        assert accepted == Counter({m.registration: 1 for m in messages})
        assert rig.stand_in.ledger.summary()["answers"]["goaway"] >= 1


async def test_more_requests_than_streams_wait_their_turn(tmp_path: Path) -> None:
    """Three hundred at once on one connection of which the peer takes a hundred streams."""
    async with running(tmp_path) as rig:
        base_url = rig.stand_in.tls_address
        wire = HttpWire(Way(base_url, ca=rig.settings.fcm_ca), connections=1)
        channel = FcmChannel(Vendor(rig.settings.fcm_service_account, base_url), wire)
        rig.stand_in.scripts.put(Script(EVERYBODY, [Answer("ok", after_s=0.1, times=1000)]))
        await channel.send(push("warm"), CLOCK.now_ms())
        outcomes = await asyncio.gather(*(channel.send(push(f"p{n}"), CLOCK.now_ms()) for n in range(300)))
        await channel.close()
        assert {o.verdict for o in outcomes} == {Verdict.SENT}
        assert rig.stand_in.most_streams == 100
        assert set(rig.stand_in.ledger.summary()["answers"]) == {"ok"}, "none was refused for it"


def test_the_sender_stays_below_the_peers_streams() -> None:
    assert STREAMS < 100 and CONNECTIONS == 2


class Rude(asyncio.Protocol):
    """An HTTP/2 client that asks for what it likes."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events: list[Event] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.events += self.h2.receive_data(data)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def ask(self, path: str, method: str = "POST", body: bytes = b"") -> int:
        stream: int = self.h2.get_next_available_stream_id()
        head = {":method": method, ":scheme": "https", ":authority": "fcm", ":path": path}
        self.h2.send_headers(stream, list(head.items()), end_stream=not body)
        for first in range(0, len(body), 16_384):
            self.h2.send_data(stream, body[first : first + 16_384], end_stream=first + 16_384 >= len(body))
        self.flush()
        return stream

    async def until(self, count: int, *kinds: type[Event]) -> list[Event]:
        async with asyncio.timeout(10):
            while len(found := [one for one in self.events if isinstance(one, kinds)]) < count:
                await asyncio.sleep(0.01)
        return found


async def rude(rig: Rig) -> Rude:
    context = ssl.create_default_context(cafile=rig.settings.fcm_ca)
    context.set_alpn_protocols(["h2"])
    port = int(rig.stand_in.tls_address.rsplit(":", 1)[1])
    _, protocol = await asyncio.get_running_loop().create_connection(Rude, "127.0.0.1", port, ssl=context)
    await protocol.until(2, RemoteSettingsChanged)
    return protocol


async def test_the_limit_of_streams_is_told_and_kept_against_who_ignores_it(tmp_path: Path) -> None:
    async with running(tmp_path, streams=3) as rig:
        client = await rude(rig)
        told = client.h2.remote_settings
        assert told[SettingCodes.MAX_CONCURRENT_STREAMS] == 3
        told[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        told.acknowledge()
        path = "/v1/projects/p/messages:send"
        rig.stand_in.scripts.put(Script(EVERYBODY, [Answer("stall", times=9)]))
        for _ in range(3):
            client.h2.send_headers(client.h2.get_next_available_stream_id(), list(POST.items()))  # and no end
        client.flush()
        refused = client.ask(path)
        [reset] = await client.until(1, StreamReset)
        assert isinstance(reset, StreamReset)
        assert (reset.stream_id, reset.error_code) == (refused, 7)
        assert rig.stand_in.ledger.summary()["answers"] == {"too_many_streams": 1}, "an arrival, too"
        client.transport.close()


POST = {":method": "POST", ":scheme": "https", ":authority": "fcm", ":path": "/v1/projects/p/messages:send"}


async def test_no_client_causes_a_5xx_over_http2_either(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        client = await rude(rig)
        asked = {
            client.ask("/nowhere"): "404",
            client.ask("/v1/projects/p/messages:send", "GET"): "405",
            client.ask("/v1/projects/p/messages:send", body=b"{"): "401",
            client.ask("/v1/projects//messages:send"): "401",
        }
        replies = [one for one in await client.until(len(asked), ResponseReceived) if isinstance(one, ResponseReceived)]
        assert {one.stream_id: _status(one) for one in replies} == asked
        client.transport.write(b"\x00\x00\x05\x00\x00\x00\x00\x00\x63hello")  # DATA of a stream that never was
        await client.until(1, ConnectionTerminated, StreamReset)
        client.transport.close()
        assert (await rig.send(push("next"))).verdict is Verdict.SENT


def _status(one: ResponseReceived) -> str:
    return {str(name): str(value) for name, value in one.headers}[":status"]
