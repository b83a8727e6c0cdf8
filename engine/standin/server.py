"""The stand-in's HTTP door: aiohttp, because a scripted reset needs the connection itself in hand.

Its own pages (`/script`, `/ledger`) have no access control: bind it to loopback.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from engine.clock import Clock
from engine.standin.fcm import Fcm
from engine.standin.google import Reply
from engine.standin.issuer import GrantRefused, Issuer, ServiceAccount
from engine.standin.ledger import Ledger
from engine.standin.limits import Limits
from engine.standin.script import Script, Scripts

FILTERS = ("registration", "tag", "answer", "status", "kind")
MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class StandIn:
    """A running stand-in: its address, and what a test in the same process may look into."""

    address: str
    service_account: Path
    issuer: Issuer
    ledger: Ledger
    scripts: Scripts


@asynccontextmanager
async def serving(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    life_s: int = 3600,
    limits: Limits | None = None,
) -> AsyncIterator[StandIn]:
    """Serve until the context ends; port 0 takes a free one. *life_s* is how long a bearer lives,
    *limits* are the project's rates.

    Raises OSError when the port is taken or *folder* cannot be written.
    """
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    address = _address(listening)
    account = ServiceAccount.kept(folder, f"{address}/token")
    stand_in = StandIn(address, account.path, Issuer(account, life_s), Ledger(folder), Scripts())
    # A client that hangs up ends its stalled handler.
    runner = web.AppRunner(
        _app(stand_in, clock or Clock(), limits or Limits()),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield stand_in
    finally:
        await runner.cleanup()
        stand_in.ledger.close()


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _app(stand_in: StandIn, clock: Clock, limits: Limits) -> web.Application:
    pages = _Pages(stand_in, clock, limits)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/token", pages.token)
    app.router.add_post("/v1/projects/{project}/messages:send", pages.send)
    app.router.add_post("/script", pages.script)
    app.router.add_get("/ledger", pages.rows)
    app.router.add_get("/ledger/summary", pages.summary)
    app.router.add_get("/livez", pages.alive)
    return app


class _Pages:
    def __init__(self, stand_in: StandIn, clock: Clock, limits: Limits) -> None:
        self._it = stand_in
        self._clock = clock
        self._fcm = Fcm(stand_in.issuer, stand_in.ledger, stand_in.scripts, limits)

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        grant_type, assertion = str(form.get("grant_type", "")), str(form.get("assertion", ""))
        try:
            return _json(self._it.issuer.grant(grant_type, assertion, self._clock.now_ms()))
        except GrantRefused as refused:
            return _json({"error": refused.error, "error_description": str(refused)}, 400)

    async def send(self, request: web.Request) -> web.Response:
        body = await request.read()
        authorization = request.headers.get("Authorization", "")
        done = self._fcm.send(request.match_info["project"], authorization, body, self._clock.now_ms())
        if done.act == "stall":
            await asyncio.Event().wait()
        if done.act == "reset":
            _reset(request, done.reply)
        return _answer(done.reply)

    async def script(self, request: web.Request) -> web.Response:
        try:
            script = msgspec.json.decode(await request.read(), type=Script)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _json({"error": str(error)}, 400)
        self._it.scripts.put(script)
        return _json({"registration": script.registration, "answers": len(script.answers)})

    async def rows(self, request: web.Request) -> web.Response:
        query = request.query
        unknown = sorted(set(query) - {*FILTERS, "since", "limit"})
        if unknown:
            return _json({"error": f"unknown parameter {unknown[0]}"}, 400)
        try:
            since, limit = int(query.get("since", "0")), int(query.get("limit", str(MOST_ROWS)))
        except ValueError:
            return _json({"error": "since and limit are whole numbers"}, 400)
        wanted = {name: query[name] for name in FILTERS if name in query}
        found = self._it.ledger.since(since, wanted, max(0, min(limit, MOST_ROWS)))
        return _json({"arrivals": found, "next": found[-1].seq if found else since})

    async def summary(self, _: web.Request) -> web.Response:
        return _json({**self._it.ledger.summary(), "grants": self._it.issuer.grants})

    async def alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _answer(reply: Reply) -> web.Response:
    return web.Response(body=reply.body, status=reply.status, headers={**reply.headers, "Content-Type": reply.kind})


def _reset(request: web.Request, reply: Reply) -> None:
    """Write half an answer, then RST: with linger 0 the kernel does not say goodbye."""
    transport = request.transport
    if transport is None:
        return
    head = f"HTTP/1.1 {reply.status} OK\r\nContent-Length: {2 * len(reply.body)}\r\n\r\n".encode()
    transport.write(head + reply.body)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
