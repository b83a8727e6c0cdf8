"""The FCM channel: build, authorise, post once, read the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic

import structlog

from engine.channels import fcm_answer
from engine.channels.fcm_bearer import Bearer, CredentialsRefused, IssuerAway
from engine.channels.fcm_payload import PayloadFault, ttl_s
from engine.channels.fcm_template import Templates
from engine.channels.fcm_vendor import Vendor
from engine.channels.fcm_wire import HttpWire, Reply, Unanswered, Unsent, Way, Wire
from engine.channels.push import Outcome, Push, Verdict
from engine.errors import CandlemakerError
from engine.settings import Settings

INCIDENT_S = 30.0
"""An access token that is refused so soon after it replaced a refused one is not replaced: that would not help."""
ISSUER_WAIT_S = 10.0
"""How long the lane rests when no access token can be had."""

log = structlog.get_logger()


class _Expired(CandlemakerError):
    """The offer ended while we were at it; nothing more is written."""


class _Old(CandlemakerError):
    """What was asked about the person is too old to rest on; nothing more is written."""


class _Since:
    """The caller's "now", carried on while we wait for tokens and answers: TTLs count from the very send."""

    def __init__(self, now_ms: int, started_s: float) -> None:
        self._now_ms = now_ms
        self._started_s = started_s

    def now_ms(self) -> int:
        return self._now_ms + int((monotonic() - self._started_s) * 1000)


class FcmChannel:
    """Speaks FCM HTTP v1. Holds no message: what `send` is given is gone when it returns."""

    def __init__(self, vendor: Vendor, wire: Wire) -> None:
        self._vendor = vendor
        self._wire = wire
        self._bearer = Bearer(vendor.grant)
        self._templates = Templates(vendor.message)
        self._replacement = ("", 0.0)
        """The access token that last replaced a refused one, and since when (monotonic seconds)."""

    @classmethod
    def open(cls, settings: Settings) -> FcmChannel:
        """The channel that *settings* name; raises `SettingError` when the service account is unusable."""
        vendor = Vendor(settings.fcm_service_account, settings.fcm_base_url)
        return cls(vendor, HttpWire(Way(settings.fcm_base_url, ca=settings.fcm_ca)))

    async def send(self, push: Push, now_ms: int) -> Outcome:
        """See `Channel`. At most one arrival at FCM, or two when the first was answered 401."""
        if not push.registration:
            return Outcome(Verdict.DEAD_REGISTRATION, detail="empty registration")
        bearer, started_s = self._bearer.ready(now_ms) if self._wire.warm else "", monotonic()
        try:
            reply = await self._post(push, now_ms, bearer) if bearer else None
            if reply is None or (reply.status == 401 and fcm_answer.is_stale_bearer(reply.status, reply.body)):
                reply = await self._renewed(push, _Since(now_ms, started_s), bearer, reply)
        except CandlemakerError as error:
            return _without_reply(error)
        return fcm_answer.classify(reply.status, reply.headers, reply.body, now_ms)

    def widen(self, connections: int) -> None:
        """Spread what is sent over this many connections."""
        self._wire.widen(connections)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()
        self._vendor.close()

    async def _renewed(self, push: Push, at: _Since, bearer: str, reply: Reply | None) -> Reply:
        """Post with a token that is not at hand; one that FCM calls stale is replaced, and it is posted once more."""
        if reply is None:
            bearer = await self._bearer_for(push, at, stale="")
            reply = await self._late(push, at, bearer)
        replacement, since_s = self._replacement
        incident = bearer == replacement and monotonic() - since_s < INCIDENT_S
        if incident or not fcm_answer.is_stale_bearer(reply.status, reply.body):
            return reply
        log.warning("fcm_token_refused")
        renewed = await self._bearer_for(push, at, bearer)
        if renewed != self._replacement[0]:
            self._replacement = (renewed, monotonic())
        return await self._late(push, at, renewed)

    def _late(self, push: Push, at: _Since, bearer: str) -> Awaitable[Reply]:
        """Post, unless waiting took too long."""
        if monotonic() > push.fresh_until_s:
            raise _Old("waited for a connection or an access token")
        return self._post(push, at.now_ms(), bearer)

    async def _bearer_for(self, push: Push, at: _Since, stale: str) -> str:
        """An access token other than *stale*, and connections to use it on; waiting ends when the offer does."""
        try:
            async with asyncio.timeout(max(0.0, (push.expires_ms - at.now_ms()) / 1000)):
                bearer = await self._bearer.other_than(stale, at.now_ms())
                if not self._wire.warm:
                    await self._wire.open()
                return bearer
        except TimeoutError:
            raise _Expired("while waiting for a connection or an access token") from None

    def _post(self, push: Push, now_ms: int, bearer: str) -> Awaitable[Reply]:
        """What is awaited writes at once."""
        life_s = ttl_s(push.expires_ms, now_ms)
        if life_s is None:
            raise _Expired("before sending")
        return self._wire.post(self._vendor.send_url, bearer, self._templates.message(push, life_s))


def _without_reply(error: CandlemakerError) -> Outcome:
    """What it means that no answer came; raises what is none of the channel's errors."""
    match error:
        case Unanswered() | Unsent():
            row = _row_of(error)
            return Outcome(row.verdict, retry_after_s=row.default_wait_s, detail=str(error))
        case _Old():
            return Outcome(Verdict.UNPROCESSED, detail=str(error))
        case _Expired():
            return Outcome(Verdict.EXPIRED, detail=str(error))
        case PayloadFault():
            return Outcome(Verdict.PAYLOAD_FAULT, detail=str(error))
        case CredentialsRefused():
            return Outcome(Verdict.LANE_STOP, detail=f"credentials: {error}")
        case IssuerAway():
            return Outcome(Verdict.LANE_PAUSE, retry_after_s=ISSUER_WAIT_S, detail="no access token")
    raise error


def _row_of(error: Unanswered | Unsent) -> fcm_answer.Row:
    if isinstance(error, Unanswered):
        return fcm_answer.UNANSWERED
    return fcm_answer.REFUSED if error.refused_stream else fcm_answer.UNSENT
