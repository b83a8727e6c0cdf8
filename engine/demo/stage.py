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
from typing import NamedTuple

import structlog

from engine.clock import Clock
from engine.embedded.child import Command, Process, spawn, tail
from engine.embedded.home import open_folder
from engine.embedded.lock import holder
from engine.errors import ServerError
from engine.settings import PREFIX, Settings, variable
from engine.standin.ledger import FILE
from engine.supervise import Stack
from engine.telemetry import configure

MATCHERS = ("matcher", "matcher-2")
ROLES = ("api", *MATCHERS, "sender", "loader")
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
async def stage(given: Settings, offset_ms: int) -> AsyncIterator[Stage]:
    """Everything running and empty; afterwards nothing is. *given*.data is the parent of the demo's own folder."""
    folder = _fresh(given.data / "demo")
    logs = folder / "logs"
    _log_to(given, logs)
    settings = replace(given, data=folder, host="127.0.0.1", port=0, clock_offset_ms=offset_ms)
    async with _stand_in(settings, logs / "fcm-stand-in.log") as found:
        settings = replace(settings, fcm_service_account=found.account, fcm_base_url=found.url)
        async with Stack(settings, ROLES, logs) as stack:
            key = (folder / "admin.key").read_text().strip()
            ledger = Path(found.account).with_name(FILE)
            yield Stage(stack, stack.settings, Clock(offset_ms), found.url, ledger, key)


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


class _StandIn(NamedTuple):
    """Path of its service account, and its address."""

    account: str
    url: str


@asynccontextmanager
async def _stand_in(settings: Settings, output: Path) -> AsyncIterator[_StandIn]:
    """The stand-in as a process that dies with us."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    folder = settings.data / "fcm-stand-in"
    argv = [sys.executable, "-m", "engine", "fcm-stand-in", "--port", "0", "--data", str(folder)]
    process = spawn(Command(argv=argv, env=ours | settings.environ(), log=output))
    try:
        yield await asyncio.to_thread(_greeting, process, output)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(_wait, process)


def _greeting(process: Process, output: Path) -> _StandIn:
    """What the stand-in prints once it listens."""
    account, url = (f"{variable(name)}=" for name in ("fcm_service_account", "fcm_base_url"))
    deadline_s = time.monotonic() + STAND_IN_S
    while time.monotonic() < deadline_s and process.poll() is None:
        lines = output.read_text().splitlines()
        accounts, urls = (
            [line.removeprefix(name) for line in lines if line.startswith(name)] for name in (account, url)
        )
        if accounts and urls:
            return _StandIn(accounts[0], urls[0])
        time.sleep(POLL_S)
    raise ServerError(f"the FCM stand-in did not start; the end of {output}:\n{tail(output)}")


def _wait(process: Process) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
