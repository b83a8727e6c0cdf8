"""The access token: fetched off the event loop, one fetch in flight, renewed in good time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from engine.errors import CandlemakerError

RENEW_SHARE = 0.77
"""Share of its life after which a token is renewed in the background; senders keep using it meanwhile."""
PAUSE_MS = 10_000
"""After a failed fetch the issuer is left alone this long."""

log = structlog.get_logger()


class CredentialsRefused(CandlemakerError):
    """The issuer refused our key, or its answer is no token: an operator must act. The text is OAuth's
    code.
    """


class IssuerAway(CandlemakerError):
    """The issuer could not be reached or failed: try later."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token and its life in seconds, counted from the moment it was granted."""

    token: str = field(repr=False)
    life_s: float


class Bearer:
    """Hands out the access token. *fetch* blocks and runs in a thread; it raises the two errors above."""

    def __init__(self, fetch: Callable[[], Grant]) -> None:
        self._fetch = fetch
        self._token = ""
        self._renew_ms = 0
        self._end_ms = 0
        self._fetching: asyncio.Task[None] | None = None
        self._failure: CandlemakerError | None = None
        self._failure_end_ms = 0

    def ready(self, now_ms: int) -> str:
        """The token at hand if it needs neither waiting nor renewing, else ""."""
        return self._token if now_ms < self._renew_ms else ""

    async def other_than(self, stale: str, now_ms: int) -> str:
        """The token to use at *now_ms*, but not *stale*, which FCM refused (empty: none was).

        Waits for a fetch only when there is no token left to use; many callers with one stale token cause
        one fetch.
        """
        if self._token in {"", stale} or now_ms >= self._end_ms:
            self._token = ""  # nobody writes with it while we wait
            await self._fetched(now_ms)
        elif now_ms >= self._renew_ms and now_ms >= self._failure_end_ms:
            self._start(now_ms)
        return self._token

    async def _fetched(self, now_ms: int) -> None:
        if self._failure is not None and now_ms < self._failure_end_ms:
            raise self._failure.with_traceback(None)
        # Shielded: a caller that gives up must not cancel the fetch the others wait for.
        await asyncio.shield(self._start(now_ms))
        if self._failure is not None:
            # One error is raised to many; without this its traceback would grow with each of them.
            raise self._failure.with_traceback(None)

    def _start(self, now_ms: int) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._run(now_ms))
        return self._fetching

    async def _run(self, now_ms: int) -> None:
        try:
            grant = await asyncio.to_thread(self._fetch)
        except (CredentialsRefused, IssuerAway) as error:
            self._failure, self._failure_end_ms = error, now_ms + PAUSE_MS
            log.warning("fcm_token_failed", kind=type(error).__name__, reason=str(error))
            return
        self._failure = None
        self._token = grant.token
        self._renew_ms = now_ms + round(grant.life_s * RENEW_SHARE * 1000)
        self._end_ms = now_ms + round(grant.life_s * 1000)
        log.info("fcm_token_granted", life_s=round(grant.life_s))
