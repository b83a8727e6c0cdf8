"""The real stack for one bench: servers, roles and the FCM stand-in in a folder that is removed afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.client import Client
from benchmarks.machine import ROOT
from engine.embedded.child import Command, Process, spawn, tail
from engine.postgres.pool import connect
from engine.settings import PREFIX, Settings, variable
from engine.standin.ledger import FILE as LEDGER
from engine.supervise import ROLES, Stack

START_S = 20.0


@dataclass(frozen=True)
class Stage:
    """What a bench works with."""

    stack: Stack
    client: Client
    admin_key: str
    database: Any
    ledger: Path
    logs: Path


@asynccontextmanager
async def staged(more: dict[str, Any], matchers: int = 1) -> AsyncIterator[Stage]:
    """A stack with *more* settings and as many matchers as asked for, ready; gone afterwards."""
    folder = await asyncio.to_thread(fresh_folder)
    try:
        async with contextlib.AsyncExitStack() as opened:
            account = await stand_in(opened, folder, {})
            settings = replace(Settings(data=folder / "data", port=0), **account)
            logs = folder / "logs"
            stack = await opened.enter_async_context(Stack(replace(settings, **more), ROLES, logs))
            for number in range(2, matchers + 1):
                stack.start_role(f"matcher-{number}")
            database = await connect(stack.settings)
            opened.push_async_callback(database.close)
            key = (folder / "data" / "admin.key").read_text().strip()
            yield Stage(stack, Client(stack.url), key, database, folder / "stand-in" / LEDGER, logs)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)


async def stand_in(opened: contextlib.AsyncExitStack, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Start the stand-in with the quota that *settings* name; the settings that lead to it."""
    log = folder / "stand-in.log"
    argv = [sys.executable, "-m", "engine", "fcm-stand-in", "--port", "0", "--data", str(folder / "stand-in")]
    if "fcm_quota_per_s" in settings:
        argv += ["--quota", str(60 * settings["fcm_quota_per_s"])]
    process = spawn(Command(argv=argv, env=environ(), cwd=ROOT, log=log))
    opened.callback(_end, process)
    names = {variable(name): name for name in ("fcm_service_account", "fcm_base_url")}
    deadline_s = time.monotonic() + START_S
    while True:
        said = dict(line.split("=", 1) for line in tail(log).splitlines() if "=" in line)
        if names.keys() <= said.keys():
            return {field: said[name] for name, field in names.items()}
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"the FCM stand-in did not start:\n{tail(log)}")
        await asyncio.sleep(0.05)


def fresh_folder() -> Path:
    """An empty folder that the servers' user can reach too."""
    folder = Path(tempfile.mkdtemp(prefix="candlemaker-bench-"))
    folder.chmod(0o755)
    return folder


def environ() -> dict[str, str]:
    """Ours without settings of the engine: a bench's settings are its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _end(process: Process) -> None:
    process.kill()
    process.wait()
