"""From the Authorization header to a caller that the route admits."""

from __future__ import annotations

from engine.http.call import Caller, Services
from engine.http.keys import is_whole
from engine.http.problems import Problem
from engine.http.routes import Route

PUBLIC = Caller("public", "public")
_CHALLENGE = [(b"www-authenticate", b'Bearer realm="candlemaker"')]
_LONGEST = 2048


async def authorise(services: Services, route: Route, headers: dict[bytes, bytes], now_s: float) -> Caller:
    """The caller; raise `Problem` 401 without a valid key or token and 403 for one the route does not admit."""
    if "public" in route.scopes:
        return PUBLIC
    kind, _, text = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() != b"bearer" or not 0 < len(text) <= _LONGEST:
        raise Problem("unauthorised", "send Authorization: Bearer <key or token>", headers=_CHALLENGE)
    caller = await _by_key(services, text, now_s) if text.startswith(b"cm_") else _by_token(services, text)
    if caller is None:
        raise Problem("unauthorised", "the key or token is unknown, revoked or has expired", headers=_CHALLENGE)
    if caller.scope not in route.scopes:
        raise Problem("forbidden", f"this call is for {', '.join(sorted(route.scopes))}")
    return caller


async def _by_key(services: Services, text: bytes, now_s: float) -> Caller | None:
    if not is_whole(text.decode("latin-1")):
        return None  # mistyped, or made up: not worth a question
    key = await services.keys.find(text, now_s)
    return Caller(key.scope, f"key:{key.id}", key.retailer) if key is not None else None


def _by_token(services: Services, text: bytes) -> Caller | None:
    found = services.tokens.find(text, services.clock.now_ms())
    if found is None:
        return None
    number, expires_ms = found
    return Caller("customer", f"customer:{number}", None, number, expires_ms)
