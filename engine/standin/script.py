"""Faults by script: what a registration's next sends are answered, every row of FCM's table among them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import msgspec

from engine.standin.google import (
    INVALID,
    NOT_A_REGISTRATION,
    Reply,
    bad_request,
    denied,
    fcm_error,
    invalid,
    quota_failure,
    refusal,
    unauthenticated,
)
from engine.standin.shape import Problem

EVERYBODY = "*"
"""A script for this registration answers whoever has no script of their own."""


Act = Literal["answer", "stall", "reset", "hang_up", "cut_stream", "refuse", "goaway"]
"""What is done on the wire: answer; never answer; RST of the connection inside the answer; close it instead of one;
RST_STREAM after the message was taken (INTERNAL_ERROR), before it was looked at (REFUSED_STREAM); GOAWAY whose last id
lies below it. Over HTTP/1.1, which knows no streams, the last three close the connection."""


@dataclass(frozen=True, slots=True)
class Fault:
    """*reply* None means FCM's normal answer. *accepted* faults deliver although their answer says
    otherwise.
    """

    reply: Reply | None = None
    accepted: bool = False
    act: Act = "answer"


_GATEWAY = b"<!DOCTYPE html><title>Error 502 (Server Error)!!1</title><p>The server encountered a temporary error."
_TIMEOUT = b"<!DOCTYPE html><title>Error 504 (Gateway Timeout)!!1</title><p>The upstream server took too long."
_SLOW = b"<!DOCTYPE html><title>Error 408 (Request Timeout)!!1</title><p>Your client took too long."
_LARGE = (
    b"<!DOCTYPE html><title>Error 413 (Request Entity Too Large)!!1</title><p>Your client issued too large a request."
)
_HTML = "text/html; charset=UTF-8"
_UNAVAILABLE = refusal(503, "UNAVAILABLE", "The service is currently unavailable.", fcm_error("UNAVAILABLE"))
_QUOTA = "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute'"

FAULTS: dict[str, Fault] = {
    "ok": Fault(accepted=True),
    "nameless": Fault(Reply(200, b"{}"), accepted=True),
    "redirect": Fault(Reply(302, b"", {"Location": "https://example.invalid/"})),
    "invalid_registration": Fault(invalid(NOT_A_REGISTRATION)),
    "invalid_registration_field": Fault(invalid(INVALID, [Problem("message.token", "Invalid registration token")])),
    "bad_request": Fault(
        refusal(400, "INVALID_ARGUMENT", INVALID, bad_request([Problem("message.data", "Invalid value")]))
    ),
    "invalid_payload": Fault(invalid("Android message is too big")),
    "bad_request_bare": Fault(refusal(400, "INVALID_ARGUMENT", INVALID)),
    "unauthenticated": Fault(unauthenticated("ACCESS_TOKEN_EXPIRED")),
    "third_party_auth": Fault(
        refusal(
            401,
            "UNAUTHENTICATED",
            "Auth error from APNS or Web Push Service",
            fcm_error("THIRD_PARTY_AUTH_ERROR"),
        )
    ),
    "sender_id_mismatch": Fault(
        refusal(403, "PERMISSION_DENIED", "SenderId mismatch", fcm_error("SENDER_ID_MISMATCH"))
    ),
    "forbidden": Fault(denied("another-project")),
    "unregistered": Fault(refusal(404, "NOT_FOUND", "Requested entity was not found.", fcm_error("UNREGISTERED"))),
    "not_found": Fault(refusal(404, "NOT_FOUND", "Requested entity was not found.")),
    "request_timeout": Fault(Reply(408, _SLOW, kind=_HTML)),
    "too_large": Fault(Reply(413, _LARGE, kind=_HTML)),
    "quota_project": Fault(
        refusal(
            429,
            "RESOURCE_EXHAUSTED",
            _QUOTA,
            fcm_error("QUOTA_EXCEEDED"),
            quota_failure("project:candlemaker", _QUOTA),
        )
    ),
    "quota_bare": Fault(refusal(429, "RESOURCE_EXHAUSTED", _QUOTA, fcm_error("QUOTA_EXCEEDED"))),
    "quota_device": Fault(
        refusal(
            429,
            "RESOURCE_EXHAUSTED",
            "Device message rate exceeded",
            fcm_error("QUOTA_EXCEEDED"),
            quota_failure("device:registration", "Device message rate exceeded"),
        )
    ),
    "internal": Fault(refusal(500, "INTERNAL", "Internal error encountered.", fcm_error("INTERNAL"))),
    "unavailable": Fault(_UNAVAILABLE),
    "unavailable_accepted": Fault(_UNAVAILABLE, accepted=True),
    "bad_gateway": Fault(Reply(502, _GATEWAY, kind=_HTML), accepted=True),
    "gateway_timeout": Fault(Reply(504, _TIMEOUT, kind=_HTML), accepted=True),
    "stall": Fault(accepted=True, act="stall"),
    "reset": Fault(accepted=True, act="reset"),
    "hang_up": Fault(accepted=True, act="hang_up"),
    "cut_stream": Fault(accepted=True, act="cut_stream"),
    "refused_stream": Fault(act="refuse"),
    "goaway": Fault(act="goaway"),
}
LONGEST_S = 3600.0


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a script: a name of `FAULTS`, how often, its `Retry-After`: `"7"` or, as an HTTP
    date, `"date+7"`, and how long the answer takes.
    """

    answer: str
    retry_after: str = ""
    times: int = 1
    after_s: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError (msgspec makes it a ValidationError) for what the script cannot do."""
        if self.answer not in FAULTS:
            raise ValueError(f"unknown answer {self.answer!r}; known: {', '.join(sorted(FAULTS))}")
        seconds = self.retry_after.removeprefix("date+")
        if self.retry_after and not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 6):
            raise ValueError("retry_after is seconds or date+seconds")
        if not 1 <= self.times <= 1_000_000:
            raise ValueError("times is 1 to 1000000")
        if not 0 <= self.after_s <= LONGEST_S:
            raise ValueError("after_s is 0 to 3600")


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answers of one registration, in order; after the last one FCM answers normally again."""

    registration: str
    answers: list[Answer]


class Scripts:
    """All scripts. A new one replaces the registration's old one."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Answer]] = {}

    def put(self, script: Script) -> None:
        """Take *script*; an empty one clears the registration's."""
        self._waiting[script.registration] = deque(script.answers)

    def next(self, registration: str) -> Answer:
        """The answer for this send, used up by it."""
        for name in (registration, EVERYBODY):
            queue = self._waiting.get(name)
            if queue:
                return self._take(name, queue)
        return Answer("ok")

    def _take(self, name: str, queue: deque[Answer]) -> Answer:
        answer = queue.popleft()
        if answer.times > 1:
            queue.appendleft(msgspec.structs.replace(answer, times=answer.times - 1))
        if not queue:
            del self._waiting[name]
        return answer
