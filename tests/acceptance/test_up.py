"""`candlemaker up` as a process: readiness, restarts, draining, and death without a trace."""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.embedded.lock import holder
from engine.embedded.server import free_port
from engine.errors import ServerError
from engine.settings import Settings
from engine.supervise import Stack

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


def wait_until(true: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def processes_of(data: Path) -> list[int]:
    """Living processes of this data folder: the servers name it, the roles have it in their environment."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _belongs(entry, data)]


def _belongs(process: Path, data: Path) -> bool:
    with contextlib.suppress(OSError):
        words = (process / "cmdline").read_bytes().split(b"\0")  # empty for a zombie
        if words == [b""]:
            return False
        told = (process / "environ").read_bytes().split(b"\0")
        return f"CANDLEMAKER_DATA={data}".encode() in told or any(str(data).encode() in word for word in words)
    return False


def programs_of(data: Path) -> set[str]:
    """The role of each of our processes, or the program's name."""
    words = [Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0") for pid in processes_of(data)]
    return {line[-1] if "engine" in line else Path(line[0]).name for line in words}


def body(port: int, path: str) -> str:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(line):
        line.request("GET", path)
        return line.getresponse().read().decode()


def ready(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(line):
        line.request("GET", "/readyz")
        return line.getresponse().status == 200
    return False


@contextlib.contextmanager
def up(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A `candlemaker up` that is ready; afterwards nothing of it is left."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CANDLEMAKER_")}
    said = settings.data.parent / "up.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", "up"], env=environ | settings.environ(), stdout=output, stderr=output
        )
    try:
        wait_until(lambda: "Candlemaker is up" in said.read_text() or process.poll() is not None, 120)
        assert process.poll() is None, said.read_text()
        assert ready(settings.port)
        yield process
    finally:
        process.kill()
        process.wait()
        _nothing_is_left(settings.data)


def _nothing_is_left(data: Path) -> None:
    try:
        wait_until(lambda: not processes_of(data), 15)
    finally:
        for pid in processes_of(data):  # ours, and the test fails for it
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def fresh(open_folder: Path) -> Settings:
    return Settings(data=open_folder / "data", port=free_port())


def test_sigterm_drains_and_leaves_nothing(fresh: Settings) -> None:
    with up(fresh) as process:
        assert (fresh.data / "admin.key").stat().st_mode & 0o777 == 0o600
        assert {"api", "matcher", "sender", "postgres", "valkey-server"} <= programs_of(fresh.data)
        shown = body(fresh.port, "/metrics")
        for role in ("http", "matcher", "sender"):
            assert f"candlemaker_{role}_" in shown, "one page for all roles"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert processes_of(fresh.data) == []
        log = (fresh.data.parent / "up.log").read_text()
        assert "api.stopped" in log, "it was drained, not killed"
        assert "Traceback" not in log


def test_kill_9_of_up_takes_everything_with_it(fresh: Settings) -> None:
    with up(fresh) as process:
        process.kill()
        process.wait()
        wait_until(lambda: not processes_of(fresh.data), 15)
        assert holder(fresh.data) is None, "the next start finds a free folder"


async def test_every_part_comes_back(settings: Settings, tmp_path: Path) -> None:
    """On servers of one's own: only the roles are ours to restart."""
    async with Stack(settings, logs=tmp_path / "logs") as stack:
        stack.start_role("matcher-2")
        names = ("api", "matcher", "sender", "matcher-2")
        before = {name: stack.kill(name, signal.SIGKILL) for name in names}
        assert len(set(before.values())) == 4
        await asyncio.to_thread(wait_until, lambda: all(stack.pid(name) not in {None, before[name]} for name in names))
        await stack.ready()
        await stack.stop_role("matcher-2")
        assert stack.pid("matcher-2") is None
        assert stack.pid("matcher") is not None
    assert processes_of(settings.data) == []
    assert (tmp_path / "logs" / "matcher-2.log").exists()


async def test_a_port_in_use_is_refused_before_anything_starts(fresh: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", fresh.port))
        other.listen()
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{fresh.port} .*CANDLEMAKER_PORT"):
            await Stack(fresh).__aenter__()
    assert not (fresh.data / "postgres").exists()


async def test_an_api_that_dies_again_and_again_ends_the_wait(settings: Settings, tmp_path: Path) -> None:
    stack = Stack(replace(settings, log_level="loud"), roles=("api",), logs=tmp_path / "logs")
    with pytest.raises(ServerError, match=r"(?s)is not ready; api died 4 times .*CANDLEMAKER_LOG_LEVEL='loud'"):
        await stack.__aenter__()
    assert processes_of(settings.data) == []


async def test_a_role_that_cannot_start_is_reported_with_its_log(settings: Settings, tmp_path: Path) -> None:
    stack = Stack(settings, roles=("nonsense",), logs=tmp_path / "logs")
    async with stack:
        said = tmp_path / "logs" / "nonsense.log"
        await asyncio.to_thread(wait_until, lambda: said.exists() and "invalid choice" in said.read_text())
