"""FCM's answers, read as outcomes: one table, first matching row wins.

Source: Firebase documentation, "FCM v1 REST error codes", and the answers seen in the field. Two rules are
ours: a registration is blamed only when the answer names it, and a gateway's 502 or 504 is as ambiguous as a
timeout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from engine.channels.push import Outcome, Verdict

CONNECT_WAIT_S = 1.0
"""How long a message rests when no connection could be made; retrying at once would spin."""
QUOTA_WAIT_S = 60.0
"""Wait after a quota answer that does not say how long (Firebase: "wait at least one minute")."""
LONGEST_WAIT_S = 3600.0
REGISTRATION_FIELDS = {"message.token", "message.fid"}
_NAMES_REGISTRATION = re.compile(r"registration token|installation id", re.IGNORECASE)
_NAMES_DEVICE = re.compile(r"\bdevice|registration", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9_.\[\]:/-]")


class _Violation(msgspec.Struct, frozen=True):
    field: str = ""
    subject: str = ""
    description: str = ""


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    type_: str = msgspec.field(default="", name="@type")
    error_code: str = ""
    field_violations: list[_Violation] = []
    violations: list[_Violation] = []


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    status: str = ""
    details: list[_Detail] = []


class _Body(msgspec.Struct, frozen=True):
    name: str = ""
    error: _Error = _Error()


_decode = msgspec.json.Decoder(_Body).decode


def _name(body: bytes) -> str:
    """FCM's name for the message; "" when the answer has none."""
    try:
        return _decode(body).name
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


@dataclass(slots=True)
class _Answer:
    """One answer, taken apart. Anything that is not Google's JSON reads as an answer without details."""

    status: int
    body: _Body

    @classmethod
    def read(cls, status: int, body: bytes) -> _Answer:
        try:
            return cls(status, _decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return cls(status, _Body())

    @property
    def code(self) -> str:
        """The FcmError's code, empty when the answer carries no FcmError."""
        codes = [d.error_code for d in self.body.error.details if d.type_.endswith("FcmError")]
        return codes[0] if codes else ""

    @property
    def fields(self) -> list[str]:
        """Names of the request's fields that Google blames."""
        return [v.field for d in self.body.error.details for v in d.field_violations]

    @property
    def text(self) -> str:
        """Codes and field names for a log line. Google's prose is left out: it may quote what we sent."""
        words = [str(self.status), self.body.error.status, self.code, *self.fields]
        return " ".join(_UNPRINTABLE.sub("?", word)[:80] for word in words[:8] if word)


def _any(_: _Answer) -> bool:
    return True


def _names_registration(answer: _Answer) -> bool:
    """Blame the registration only if Google does: by field where it names fields, else by its sentence."""
    if answer.code != "INVALID_ARGUMENT":
        return False
    if answer.fields:
        return REGISTRATION_FIELDS.issuperset(answer.fields)
    return _NAMES_REGISTRATION.search(answer.body.error.message) is not None


def _device_quota(answer: _Answer) -> bool:
    """The quota of one device, not the project's: what QuotaFailure names decides."""
    violations = [v for d in answer.body.error.details for v in d.violations]
    return bool(violations) and all(_NAMES_DEVICE.search(f"{v.subject} {v.description}") for v in violations)


def _coded(code: str) -> Callable[[_Answer], bool]:
    return lambda answer: answer.code == code


@dataclass(frozen=True, slots=True)
class Row:
    """One answer, in the words of the README's table, and what it means; `default_wait_s` where it names no wait."""

    says: str
    statuses: range
    when: Callable[[_Answer], bool]
    verdict: Verdict
    default_wait_s: float | None = None


def _only(status: int) -> range:
    return range(status, status + 1)


def _none(_: _Answer) -> bool:
    return False


_SENT = Row("200 with a name", _only(200), lambda answer: bool(answer.body.name), Verdict.SENT)
TABLE = (
    _SENT,
    Row(
        "400 INVALID_ARGUMENT, FcmError, blames the registration",
        _only(400),
        _names_registration,
        Verdict.DEAD_REGISTRATION,
    ),
    Row("400 otherwise", _only(400), _any, Verdict.PAYLOAD_FAULT),
    Row("401 THIRD_PARTY_AUTH_ERROR", _only(401), _coded("THIRD_PARTY_AUTH_ERROR"), Verdict.SUBLANE_STOP),
    Row("401 otherwise, also to a fresh access token", _only(401), _any, Verdict.LANE_STOP),
    Row("403 SENDER_ID_MISMATCH", _only(403), _coded("SENDER_ID_MISMATCH"), Verdict.REMOVED),
    Row("403 otherwise", _only(403), _any, Verdict.LANE_STOP),
    Row("404 UNREGISTERED", _only(404), _coded("UNREGISTERED"), Verdict.REMOVED),
    Row("404 otherwise", _only(404), _any, Verdict.LANE_STOP),
    Row("408", _only(408), _any, Verdict.UNKNOWN),
    Row("413", _only(413), _any, Verdict.PAYLOAD_FAULT),
    Row("429, QuotaFailure names a device", _only(429), _device_quota, Verdict.DEVICE_BACKOFF, QUOTA_WAIT_S),
    Row("429 otherwise", _only(429), _any, Verdict.LANE_PAUSE, QUOTA_WAIT_S),
    Row("500", _only(500), _any, Verdict.RETRY),
    # FCM, or a gateway before it, may have taken the message.
    Row("503, 502, 504 and any other 5xx", range(500, 600), _any, Verdict.UNKNOWN),
    Row("any other 2xx", range(200, 300), _any, Verdict.UNKNOWN),
    # We are talking to the wrong door: nothing about registrations follows from it.
    Row("any other answer, a redirect too", range(100, 600), _any, Verdict.LANE_STOP),
)
UNANSWERED = Row("none: timeout, reset, cut short", range(0), _none, Verdict.UNKNOWN)
REFUSED = Row("none: REFUSED_STREAM, or above GOAWAY's last id", range(0), _none, Verdict.UNPROCESSED)
UNSENT = Row("none: no connection", range(0), _none, Verdict.UNPROCESSED, CONNECT_WAIT_S)
NO_ANSWER = (UNANSWERED, REFUSED, UNSENT)
_WAITING = {Verdict.LANE_PAUSE, Verdict.DEVICE_BACKOFF, Verdict.RETRY, Verdict.UNKNOWN}


def classify(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Outcome:
    """What one complete answer of `messages:send` means.

    *headers* have lower-case names. *now_ms* (epoch ms) turns a `Retry-After` date into seconds where the
    answer carries no `Date` of its own. Never raises.
    """
    if status == 200 and (name := _name(body)):  # the table's first row, met ten thousand times a second
        return Outcome(_SENT.verdict, name, None, "200")
    answer = _Answer.read(status, body)
    for row in TABLE:
        if status in row.statuses and row.when(answer):
            break
    else:
        return Outcome(Verdict.UNKNOWN, detail=f"{status}")
    wait_s = retry_after_s(headers, now_ms) if row.verdict in _WAITING else None
    return Outcome(row.verdict, retry_after_s=row.default_wait_s if wait_s is None else wait_s, detail=answer.text)


def is_stale_bearer(status: int, body: bytes) -> bool:
    """True for the one answer that a fresh access token may cure."""
    return status == 401 and _Answer.read(status, body).code != "THIRD_PARTY_AUTH_ERROR"


def retry_after_s(headers: Mapping[str, str], now_ms: int) -> float | None:
    """`Retry-After` in seconds, 0 to 3,600; None when absent or unreadable (RFC 9110, section 10.2.3).

    A date is measured from the answer's own `Date`, so that neither skew nor our clock offset bends it.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT_S)
    at_ms = _http_date_ms(text)
    if at_ms is None:
        return None
    sent_ms = _http_date_ms(headers.get("date", ""))
    return min(max(0.0, (at_ms - (now_ms if sent_ms is None else sent_ms)) / 1000), LONGEST_WAIT_S)


def _http_date_ms(text: str) -> int | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
