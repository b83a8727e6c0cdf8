"""What the demo plays on: the real product as its supervisor runs it, and the FCM stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from engine.clock import Clock
from engine.demo.opening import opening_offset_ms
from engine.embedded.child import Command, Process, spawn, tail
from engine.embedded.home import open_folder
from engine.embedded.lock import holder
from engine.errors import ServerError
from engine.settings import PREFIX, Settings, variable
from engine.standin.ledger import FILE
from engine.supervise import Stack
from engine.telemetry import configure

ROLES = ("api", "matcher", "matcher-2", "sender")
STAND_IN_S = 30.0
POLL_S = 0.05


@dataclass(frozen=True)
class Stage:
    """The running product; `clock` is engine time, `ledger` the stand-in's file."""

    stack: Stack
    settings: Settings
    clock: Clock
    stand_in_url: str
    ledger: Path
    admin_key: str = field(repr=False)


@asynccontextmanager
async def stage(given: Settings) -> AsyncIterator[Stage]:
    """Everything running and empty; afterwards nothing is. *given*.data is the parent of the demo's own folder."""
    folder = _fresh(given.data / "demo")
    logs = folder / "logs"
    _log_to(given, logs)
    offset_ms = opening_offset_ms(Clock().now_ms())
    settings = replace(given, data=folder, host="127.0.0.1", port=0, clock_offset_ms=offset_ms)
    async with _stand_in(settings, logs / "fcm-stand-in.log") as found:
        settings = replace(settings, **found)
        async with Stack(settings, ROLES, logs) as stack:
            key = (folder / "admin.key").read_text().strip()
            ledger = Path(settings.fcm_service_account).with_name(FILE)
            clock = Clock(offset_ms)
            yield Stage(stack, stack.settings, clock, settings.fcm_base_url, ledger, key)


def _fresh(folder: Path) -> Path:
    """*folder*, emptied: the demo keeps the last run for a look, and no longer."""
    folder = folder.resolve()
    if holder(folder) is not None:
        raise ServerError(f"another demo runs in {folder}; stop that one, or set CANDLEMAKER_DATA to another folder")
    pointer = folder / "servers-at"
    if pointer.exists():  # the servers' data stand elsewhere because their user cannot reach this folder
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    return open_folder(folder)


def _log_to(settings: Settings, logs: Path) -> None:
    """Our own log lines go to a file: the terminal belongs to the screen."""
    logs.mkdir(parents=True, exist_ok=True)
    configure(settings, "demo")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory((logs / "demo.log").open("a")))


@asynccontextmanager
async def _stand_in(settings: Settings, output: Path) -> AsyncIterator[dict[str, str]]:
    """The stand-in's address and account, as fields of `Settings`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    folder = settings.data / "fcm-stand-in"
    argv = [sys.executable, "-m", "engine", "fcm-stand-in", "--port", "0", "--data", str(folder)]
    process = spawn(Command(argv=argv, env=ours | settings.environ(), log=output))
    try:
        yield await _greeting(process, output)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(_wait, process)


async def _greeting(process: Process, output: Path) -> dict[str, str]:
    """What the stand-in prints once it listens."""
    names = {variable(name): name for name in ("fcm_service_account", "fcm_base_url")}
    deadline_s = time.monotonic() + STAND_IN_S
    while time.monotonic() < deadline_s and process.poll() is None:
        lines = [line.split("=", 1) for line in output.read_text().splitlines() if "=" in line]
        found = {names[line[0]]: line[1] for line in lines if line[0] in names}
        if len(found) == len(names):
            return found
        await asyncio.sleep(POLL_S)
    raise ServerError(f"the FCM stand-in did not start; the end of {output}:\n{tail(output)}")


def _wait(process: Process) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
