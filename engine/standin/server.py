"""The stand-in as a server: one port for HTTP/1.1, HTTP/2 and its own pages, and where asked one more that speaks TLS.

HTTP/1.1 and the pages are aiohttp's, HTTP/2 is `http2`. The pages (`/script`, `/ledger`, `/token/revoke`) have no
access control: bind it to loopback.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
from aiohttp import web

from engine.clock import Clock
from engine.standin import door
from engine.standin.fcm import Done, Fcm, Request
from engine.standin.google import Reply
from engine.standin.http2 import STREAMS, Answers, Http2, abort
from engine.standin.issuer import GrantRefused, Issuer, ServiceAccount
from engine.standin.ledger import Ledger
from engine.standin.limits import Limits
from engine.standin.script import Script, Scripts

FILTERS = ("registration", "tag", "answer", "status", "kind")
MOST_ROWS = 10_000
BACKLOG = 1024
"""Over HTTP/1.1 a sender opens hundreds of connections at once; a SYN without room comes again a second later."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How it serves: *life_s* is how long a bearer lives, *limits* are the project's rates, *streams* those of one
    connection; with *tls* there is a second port for `messages:send`."""

    life_s: int = 3600
    limits: Limits = field(default_factory=Limits)
    streams: int = STREAMS
    tls: bool = False


@dataclass(slots=True)
class StandIn:
    """A running stand-in: its addresses, and what a test in the same process may look into."""

    address: str
    service_account: Path
    issuer: Issuer
    ledger: Ledger
    scripts: Scripts
    tls_address: str = ""
    certificate: Path | None = None
    most_streams: int = 0
    """Streams that were open on one connection at a time, at most."""


@asynccontextmanager
async def serving(
    folder: Path, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None, manners: Manners | None = None
) -> AsyncIterator[StandIn]:
    """Serve until the context ends; port 0 takes a free one, and so does TLS.

    Raises OSError when the port is taken or *folder* cannot be written.
    """
    manners = manners or Manners()
    listening = _listen(host, port)
    address = _address(listening, "http")
    account = ServiceAccount.kept(folder, f"{address}/token")
    stand_in = StandIn(address, account.path, Issuer(account, manners.life_s), Ledger(folder), Scripts())
    pages = _Pages(stand_in, clock or Clock(), manners.limits)
    # A client that hangs up ends its stalled handler.
    runner = web.AppRunner(_app(pages), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    lines = door.Lines()
    made = partial(door.Door, lines, runner.server, partial(Http2, lines, pages.answers(), manners.streams))
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(made, sock=listening, backlog=BACKLOG)]
    if manners.tls:
        secure = _listen(host, 0)
        stand_in.tls_address, stand_in.certificate = _address(secure, "https"), folder / door.CERTIFICATE
        servers.append(await loop.create_server(made, sock=secure, backlog=BACKLOG, ssl=door.context(folder)))
    try:
        yield stand_in
    finally:
        for server in servers:
            server.close()
        await lines.end()
        await runner.cleanup()
        stand_in.ledger.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _address(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _app(pages: _Pages) -> web.Application:
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/token", pages.token)
    app.router.add_post("/token/revoke", pages.revoke)
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

    def answers(self) -> Answers:
        """The same for HTTP/2."""
        return Answers(
            lambda request: self._fcm.send(request, self._clock.now_ms()),
            lambda stream, why: self._fcm.unseen(stream, why, self._clock.now_ms()),
            self._opened,
        )

    def _opened(self, streams: int) -> None:
        self._it.most_streams = max(self._it.most_streams, streams)

    async def revoke(self, _: web.Request) -> web.Response:
        self._it.issuer.revoke_all()
        return _json({"revoked": True})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        grant_type, assertion = str(form.get("grant_type", "")), str(form.get("assertion", ""))
        try:
            return _json(self._it.issuer.grant(grant_type, assertion, self._clock.now_ms()))
        except GrantRefused as refused:
            return _json({"error": refused.error, "error_description": str(refused)}, 400)

    async def send(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = Request(request.match_info["project"], request.headers.get("Authorization", ""), body)
        done = self._fcm.send(asked, self._clock.now_ms())
        if done.after_s:
            await asyncio.sleep(done.after_s)
        if done.act == "stall":
            await asyncio.Event().wait()
        if done.act != "answer":
            _break(request, done)
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
        more = {"grants": self._it.issuer.grants, "most_streams": self._it.most_streams}
        return _json({**self._it.ledger.summary(), **more})

    async def alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _answer(reply: Reply) -> web.Response:
    return web.Response(body=reply.body, status=reply.status, headers={**reply.headers, "Content-Type": reply.kind})


def _break(request: web.Request, done: Done) -> None:
    """End the connection: with half an answer for `reset`, without a word for the others."""
    if request.transport is None:
        return
    if done.act == "reset":
        head = f"HTTP/1.1 {done.reply.status} OK\r\nContent-Length: {2 * len(done.reply.body)}\r\n\r\n".encode()
        request.transport.write(head + done.reply.body)
        abort(request.transport)
    else:
        request.transport.close()
