"""`fcm-stand-in` as a program: its settings, its pages, its restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from engine.channels.fcm import FcmChannel
from engine.channels.push import Verdict
from engine.settings import Settings
from engine.standin.server import serving
from tests.contract.fcm_rig import CLOCK, Rig, push, running


async def _get(address: str, path: str) -> Any:
    async with ClientBuilder().no_proxy().build() as client:
        reply = await client.get(f"{address}{path}").build().send()
        return msgspec.json.decode(bytes(await reply.bytes()))


async def test_the_program_prints_its_settings_keeps_its_ledger_and_leaves_on_sigterm(tmp_path: Path) -> None:
    process, settings = await asyncio.to_thread(_started, tmp_path)
    try:
        channel = FcmChannel.open(settings)
        message = push("phone-1")
        assert (await channel.send(message, CLOCK.now_ms())).verdict is Verdict.SENT
        rows = await _get(settings.fcm_base_url, "/ledger?registration=phone-1&since=0")
        assert [row["tag"] for row in rows["arrivals"]] == [str(message.decision_id)]
        assert (await _get(settings.fcm_base_url, f"/ledger?since={rows['next']}"))["arrivals"] == []
        assert (await _get(settings.fcm_base_url, "/ledger/summary"))["shown"] == 1
        await channel.close()
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert process.stdout is not None
        process.stdout.close()
    for name in ("service-account.json", "ledger.ndjson"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


async def test_a_restart_keeps_key_and_ledger_and_the_channel_recovers(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=CLOCK) as stand_in:
        rig, port = Rig(stand_in), int(stand_in.address.rsplit(":", 1)[1])
        await rig.send(push("phone-1"))
    with (tmp_path / "ledger.ndjson").open("ab") as file:
        file.write(b'{"seq": 2, "torn')
    async with serving(tmp_path, port=port, clock=CLOCK) as stand_in:
        outcome = await rig.send(push("phone-2"))
        assert outcome.verdict is Verdict.SENT, "the old bearer is refused, the key still good"
        assert [row.registration for row in stand_in.ledger.since(0, {"status": "200"}, 9)] == ["phone-1", "phone-2"]
    await rig.channel.close()


def _started(folder: Path) -> tuple[subprocess.Popen[str], Settings]:
    program = (
        "import argparse, os, sys; from engine.settings import Settings; from engine.standin import run; "
        "p = argparse.ArgumentParser(); run.add_arguments(p); "
        "sys.exit(run.main(Settings.read(os.environ), p.parse_args()))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--port", "0", "--data", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CANDLEMAKER_CLOCK_OFFSET_MS": str(CLOCK.offset_ms)},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(3)]
    return process, Settings.read(dict(line.split("=", 1) for line in lines[1:]))


BAD_PAGES = [
    ("POST", "/script", b"{", 400),
    ("POST", "/script", b'{"registration": "r", "answers": [{"answer": "nonsense"}]}', 400),
    ("POST", "/script", b'{"registration": 5}', 400),
    ("POST", "/token", b"", 400),
    ("POST", "/token", b"\xff\xfe", 400),
    ("GET", "/ledger?since=x", b"", 400),
    ("GET", "/ledger?regestration=r", b"", 400),
    ("GET", "/nowhere", b"", 404),
    ("GET", "/v1/projects/p/messages:send", b"", 405),
    ("POST", "/v1/projects/p/messages:send", b"x" * (2 << 20), 413),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD_PAGES)
async def test_no_client_causes_a_5xx(tmp_path: Path, method: str, path: str, body: bytes, status: int) -> None:
    async with running(tmp_path) as rig, ClientBuilder().no_proxy().build() as client:
        request = client.request(method, f"{rig.stand_in.address}{path}").body_bytes(body)
        assert (await request.build().send()).status == status


async def test_a_script_over_http(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, ClientBuilder().no_proxy().build() as client:
        script = b'{"registration": "*", "answers": [{"answer": "internal"}]}'
        reply = await client.post(f"{rig.stand_in.address}/script").body_bytes(script).build().send()
        assert reply.status == 200
        assert (await rig.send(push("phone-1"))).verdict is Verdict.RETRY
        assert (await client.get(f"{rig.stand_in.address}/livez").build().send()).status == 200
