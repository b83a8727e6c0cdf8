"""Customer tokens: short-lived, signed with the token key, minted for an app key, accepted by customer routes only."""

from __future__ import annotations

import jwt

ALGORITHM = "HS256"
MOST_CACHED = 10_000


def mint(key: bytes, number: int, now_ms: int, life_s: int) -> tuple[str, int]:
    """(token, expiry in epoch ms) for the customer of *number*."""
    expires_s = now_ms // 1000 + life_s
    token = jwt.encode({"sub": str(number), "iat": now_ms // 1000, "exp": expires_s}, key, ALGORITHM)
    return token, expires_s * 1000


class Tokens:
    """Checks signatures once and remembers the outcome, because a phone sends the same token for an hour."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[bytes, tuple[int, int]] = {}

    def find(self, token: bytes, now_ms: int) -> tuple[int, int] | None:
        """(customer number, expiry in epoch ms); None for a token that is forged, malformed or has expired."""
        known = self._known.get(token) or self._check(token)
        return known if known is not None and known[1] > now_ms else None

    def _check(self, token: bytes) -> tuple[int, int] | None:
        # Expiry is judged by the engine's clock above, not by the wall clock PyJWT would read.
        options = {"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self._key, [ALGORITHM], options=options)  # type: ignore[arg-type]  # a TypedDict there
            found = int(claims["sub"]), int(claims["exp"]) * 1000
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
            return None
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        self._known[token] = found
        return found
