"""The door: what happens to every request between the router and its handler, in this order.

authorise → rate → gate → path and query → body → transaction (idempotency, handler, commit) → answer. Whatever goes
wrong becomes a problem; nobody's mistake becomes a 5xx.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from engine.http.authorise import authorise
from engine.http.body import CLOSE, codec_of, read_body
from engine.http.call import Call, Caller, Reply, Services, Streamed, retailer_of
from engine.http.decode import decode
from engine.http.idempotency import key_of, once
from engine.http.limits import RateLimit
from engine.http.metrics import Meter
from engine.http.params import parse_query
from engine.http.problems import Problem
from engine.http.routes import Route
from engine.http.send import of_problem, send_reply
from engine.http.transaction import transaction
from engine.http.translate import AGAIN, problem_of

BODY_S = 10.0
"""A whole body arrives within this, however steadily it drips."""
STREAM_S = 900.0
"""A body that is streamed has a deadline for each part; all of it arrives within this."""
DEADLINE_S = 15.0
"""A request that is not answered within this is given up with 503; less than the drain at SIGTERM."""
ATTEMPTS = 3


class Endpoint:
    """The ASGI application of one path: its routes by method."""

    def __init__(self, routes: list[Route], services: Services) -> None:
        self._routes = {route.method: (route, Meter(route)) for route in routes}
        self._services = services
        self._allow = ", ".join(sorted(self._routes)).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        route, meter = self._routes.get(scope["method"], (None, None))
        if route is None or meter is None:
            problem = Problem("method_not_allowed", headers=[(b"allow", self._allow)])
            await send_reply(send, of_problem(problem), [])
            return
        began_s = time.perf_counter()
        more: list[tuple[bytes, bytes]] = []
        reply: Reply | Streamed
        try:
            reply = await self._answer(route, scope, receive, more)
        except Exception as error:
            reply = of_problem(problem_of(error, route))
        meter.answered(reply.status, time.perf_counter() - began_s)
        if isinstance(reply, Reply):
            await send_reply(send, reply, more)
        else:
            await reply.send(receive, send)

    async def _answer(
        self, route: Route, scope: Any, receive: Any, more: list[tuple[bytes, bytes]]
    ) -> Reply | Streamed:
        services, headers = self._services, dict(scope["headers"])
        now_s = time.monotonic()
        caller = await authorise(services, route, headers, now_s)
        if caller.scope != "public":
            rate = services.customer_rate if caller.scope == "customer" else services.key_rate
            _take(rate, caller, now_s, more)
        with services.reserve_gate if route.reserve else services.gate:
            call = Call(
                services,
                route,
                caller,
                services.clock.now_ms(),
                scope["path_params"],
                parse_query(route.query, scope["query_string"]),
                headers,
                scope,
            )
            return await self._in_time(call, receive)

    async def _in_time(self, call: Call, receive: Any) -> Reply | Streamed:
        """Read the body by its deadline, then work by the next."""
        body: bytes | None = None
        if call.route.streams:
            _name_retailer(call)
            with self._services.deadlines.within(STREAM_S):
                return _encoded(call.route, await call.route.handler(call, receive))
        try:
            with self._services.deadlines.within(BODY_S) as deadline:
                body = await self._body(call, receive)
                deadline.renew(DEADLINE_S)
                return await self._work(call, body)
        except TimeoutError:
            if body is None:
                raise Problem("body_too_slow", f"a body has {BODY_S:.0f} s to arrive", headers=[CLOSE]) from None
            raise

    async def _body(self, call: Call, receive: Any) -> bytes:
        route = call.route
        if route.request is None:
            return b""
        call.codec = codec_of(call.headers)
        return await read_body(call.headers, receive, route.limit_bytes)

    async def _work(self, call: Call, body: bytes) -> Reply | Streamed:
        route = call.route
        _name_retailer(call)
        if route.work == "plain":
            arguments = () if route.request is None else (body,)
            return _encoded(route, await route.handler(call, *arguments))
        given = () if route.request is None else (_decoded(call, body),)
        return await _transact(call, key_of(call, body) if route.effect else None, given)


def _name_retailer(call: Call) -> None:
    """Whose things the call works on, where its route works on a retailer's."""
    if "retailer" in call.route.query.__struct_fields__ and (
        call.route.work == "tenant" or call.query.retailer is not None or call.caller.retailer is not None
    ):
        call.retailer = retailer_of(call.caller, call.query.retailer)


async def _transact(call: Call, key: Any, arguments: tuple[Any, ...]) -> Reply:
    """The handler in its transaction; again when PostgreSQL broke a deadlock at our cost."""

    async def work() -> Reply:
        reply = _encoded(call.route, await call.route.handler(call, *arguments))
        assert isinstance(reply, Reply), "a transaction does not outlive its call"
        return reply

    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with transaction(call):
                reply = await once(call, key, work) if call.route.effect else await work()
            break
        except AGAIN:
            if attempt == ATTEMPTS:
                raise
            call.after_commit.clear()
    for afterwards in call.after_commit:
        await afterwards()
    return reply


def _take(rate: RateLimit, caller: Caller, now_s: float, more: list[tuple[bytes, bytes]]) -> None:
    left = rate.take(caller.name, now_s)
    if left < 0:
        raise rate.refusal(left)
    more.extend(rate.headers(left))


def _decoded(call: Call, body: bytes) -> Any:
    route = call.route
    if route.one is not None and not call.codec.is_batch(body, route.rows):
        call.single = True
        return decode(route.one, body, codec=call.codec)
    return decode(route.request, body, route.rows, call.codec)


def _encoded(route: Route, answer: Any) -> Reply | Streamed:
    if isinstance(answer, Reply | Streamed):
        return answer
    if answer is None:
        return Reply(204)
    return Reply(route.status, msgspec.json.encode(answer))
