"""`candlemaker up`: servers, migrations and roles as one stack that is watched and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import multiprocess

from engine.backoff import Backoff
from engine.embedded.child import Command, Process, spawn, tail
from engine.embedded.home import open_folder
from engine.embedded.secrets import load_secrets
from engine.embedded.server import Server, free_port, require_free
from engine.embedded.servers import EmbeddedServers
from engine.errors import CandlemakerError, ServerError
from engine.http.keys import ensure_admin_key
from engine.log.keys import PARTITIONS
from engine.postgres import queries
from engine.postgres.migrate import migrate
from engine.postgres.pool import connect
from engine.settings import PREFIX, Settings

ROLES = ("api", "matcher", "sender", "loader")
READY_S = 180.0  # numba compiles its kernels on the first start of a fresh machine
DRAIN_S = 25.0
_WATCH_S = 0.05
_PROBE_S = 2.0
_HOPELESS = 4  # deaths of a part that a start does not wait any longer for

log = structlog.get_logger()


@dataclass
class _Part:
    """One watched thing; times are monotonic seconds."""

    name: str
    begin: Callable[[], None]
    alive: Callable[[], bool]
    started_s: float = 0.0
    deaths: int = 0
    due_s: float | None = None  # when it may start again; None: it runs, as far as we know
    backoff: Backoff = field(default_factory=Backoff)


class Stack:
    """Servers (unless the settings name yours) and roles, each restarted when it dies, stopped in order.

    `async with Stack(settings) as stack` returns once the API is ready and every partition is owned. Port 0 in the
    settings means a free one; `stack.settings` has every address filled in. *logs* is a folder for the roles'
    output; without it they write where we write.
    """

    def __init__(self, settings: Settings, roles: Iterable[str] = ROLES, logs: Path | None = None) -> None:
        self._roles = tuple(roles)
        self._logs = logs
        self._servers = EmbeddedServers(settings)
        self._given = replace(settings, port=settings.port or free_port())
        self._parts: dict[str, _Part] = {}
        self._processes: dict[str, Process] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self._hurry = False

    # ── What is running ──

    @property
    def settings(self) -> Settings:
        """What the roles run with."""
        running = self._servers.settings
        return replace(self._given, database_url=running.database_url, redis_url=running.redis_url)

    @property
    def url(self) -> str:
        """Address of the API on this machine."""
        return f"http://{self._host}:{self._given.port}"

    @property
    def _host(self) -> str:
        return "127.0.0.1" if self._given.host in {"0.0.0.0", "::", ""} else self._given.host  # noqa: S104 - compared

    def pid(self, name: str) -> int | None:
        """Process id of a role (`matcher`, `matcher-2`) or server (`postgres`, `valkey`), None if down."""
        if name in self._servers:
            return self._servers[name].pid
        process = self._processes.get(name)
        return process.pid if process and process.poll() is None else None

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a part and return the pid that got it; raise `ServerError` when it is down."""
        pid = self.pid(name)
        if pid is None:
            raise ServerError(f"{name} is not running")
        os.kill(pid, number)
        return pid

    # ── Start and stop ──

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        if "api" in self._roles:
            require_free(self._given.host, self._given.port)
        await self._servers.__aenter__()
        settings = self.settings
        load_secrets(settings)  # made before the roles race for it
        applied = await migrate(settings)
        log.info("servers.ready", migrations=len(applied))
        if "api" in self._roles:
            await ensure_admin_key(settings)
        self._empty_metrics()
        for server in self._servers:
            self._watch_server(server)
        for name in self._roles:
            self.start_role(name)
        self._watcher = asyncio.create_task(self._watch())
        if "api" in self._parts:
            await self.ready()
        if "matcher" in self._parts:
            await self.matching()

    def start_role(self, name: str) -> None:
        """Start one more process, watched from now on: `matcher-2` is a second matcher."""
        part = _Part(name, lambda: self._spawn(name), lambda: self.pid(name) is not None)
        self._parts[name] = part
        self._begin(part)

    async def stop_role(self, name: str) -> None:
        """Drain one process and do not restart it."""
        self._parts.pop(name)
        await self._drain([name])

    async def ready(self, timeout_s: float = READY_S) -> None:
        """Return when GET /readyz answers 200; raise `ServerError` when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not await asyncio.to_thread(_answers, self._host, self._given.port):
            await self._wait_for("api", deadline, f"the API at {self.url} is not ready")

    async def matching(self, timeout_s: float = READY_S) -> None:
        """Return when every partition has an owner, so that no ping is refused for want of one."""
        deadline = time.monotonic() + timeout_s
        session = await connect(self.settings)
        try:
            while await queries.doctor.owned(session) < PARTITIONS:
                await self._wait_for("matcher", deadline, "partitions have no owner")
        finally:
            await session.close()

    async def _wait_for(self, name: str, deadline: float, trouble: str) -> None:
        """One more pause; `ServerError` with *trouble* past the deadline or when the part dies again and again."""
        if time.monotonic() > deadline or self._parts[name].deaths >= _HOPELESS:
            deaths = self._parts[name].deaths
            raise ServerError(f"{trouble}; {name} died {deaths} times since the start{self._why(name)}")
        await asyncio.sleep(_WATCH_S)

    def hurry(self) -> None:
        """Cut a running `stop` short: the roles are killed. Nothing acknowledged is lost, only time."""
        self._hurry = True

    async def stop(self) -> None:
        """Roles first (SIGTERM, at most 25 s, then SIGKILL), servers last."""
        self._stopping = True
        if self._watcher:
            # Not cancelled: it may be starting a part right now, which must not be missed below.
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._parts.clear()
        await self._drain(list(self._processes))
        await self._servers.__aexit__(None, None, None)

    # ── The work behind it ──

    def _spawn(self, name: str) -> None:
        role = re.sub(r"-\d+$", "", name)
        output = self._log_of(name)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
        self._processes[name] = spawn(
            Command(argv=[sys.executable, "-m", "engine", role], env=self._environ(), log=output)
        )

    def _environ(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics)}
        return ours | self.settings.environ() | metrics

    @property
    def _metrics(self) -> Path:
        return open_folder(self._given.data) / "metrics"

    def _empty_metrics(self) -> None:
        shutil.rmtree(self._metrics, ignore_errors=True)  # counters of earlier lives
        self._metrics.mkdir()

    def _log_of(self, name: str) -> Path | None:
        return self._logs / f"{name}.log" if self._logs else None

    def _why(self, name: str) -> str:
        output = self._log_of(name)
        return f"; the end of {output}:\n{tail(output)}" if output else ""

    def _watch_server(self, server: Server) -> None:
        part = _Part(server.name, server.start, lambda: server.pid is not None, started_s=time.monotonic())
        self._parts[server.name] = part

    def _begin(self, part: _Part) -> None:
        part.due_s, part.started_s = None, time.monotonic()
        part.begin()

    async def _watch(self) -> None:
        while not self._stopping:
            for part in list(self._parts.values()):
                await self._look_after(part)
            await asyncio.sleep(_WATCH_S)

    async def _look_after(self, part: _Part) -> None:
        now_s = time.monotonic()
        if part.due_s is None and not part.alive():
            wait_s = part.backoff.died(now_s - part.started_s)
            part.due_s = now_s + wait_s
            part.deaths += 1
            log.warning("part.died", part=part.name, restart_in_s=wait_s)
            self._sweep(part.name)
        elif part.due_s is not None and now_s >= part.due_s:
            try:
                await asyncio.to_thread(self._begin, part)
                log.info("part.restarted", part=part.name)
            except (CandlemakerError, OSError) as error:
                log.error("part.not_restarted", part=part.name, why=str(error))

    def _sweep(self, name: str) -> None:
        """Kill what a dead role left of its process group (an HTTP server's workers would keep the port)."""
        if process := self._processes.get(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            multiprocess.mark_process_dead(process.pid, str(self._metrics))  # type: ignore[no-untyped-call] # theirs

    async def _drain(self, names: list[str]) -> None:
        for name in names:
            if self.pid(name) is not None:
                self.kill(name, signal.SIGTERM)
                self.kill(name, signal.SIGCONT)  # a paused process drains too
        deadline = time.monotonic() + DRAIN_S
        while any(self.pid(name) is not None for name in names):
            if self._hurry or time.monotonic() > deadline:
                break
            await asyncio.sleep(_WATCH_S)
        for name in names:
            self._sweep(name)
            self._processes.pop(name).wait()


def _answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        line = http.client.HTTPConnection(host, port, timeout=_PROBE_S)
        try:
            line.request("GET", "/readyz")
            return line.getresponse().status == http.client.OK
        finally:
            line.close()
    return False
