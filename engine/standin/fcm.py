"""What becomes of one request at `messages:send`: judged, written to the ledger, then answered."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

import msgspec

from engine.standin import rules, shape
from engine.standin.google import Reply, denied, unauthenticated, unreadable
from engine.standin.issuer import PROJECT, Issuer
from engine.standin.ledger import Arrival, Ledger
from engine.standin.limits import Limits
from engine.standin.message import Message, SendRequest, tag_of
from engine.standin.script import FAULTS, Answer, Scripts


@dataclass(frozen=True, slots=True)
class Done:
    """The answer, and how to give it: `stall` never answers, `reset` breaks the connection inside the
    answer.
    """

    reply: Reply
    act: Literal["answer", "stall", "reset"] = "answer"


class Fcm:
    """One project's send method. Times are engine time, epoch ms, given by the caller."""

    def __init__(self, issuer: Issuer, ledger: Ledger, scripts: Scripts, limits: Limits) -> None:
        self._issuer = issuer
        self._ledger = ledger
        self._scripts = scripts
        self._limits = limits

    def send(self, project: str, authorization: str, body: bytes, now_ms: int) -> Done:
        """Judge one arrival in Google's order: bearer, project, quota, names and types, values; then the script."""
        request = shape.read(body)
        message = request.message if isinstance(request, SendRequest) and request.message else Message()
        refusal = self._door(project, authorization, now_ms) or self._project_quota(now_ms)
        if refusal is None:
            refusal = unreadable(request) if isinstance(request, list) else rules.refusal_of(request)
        refusal = refusal or self._device_quota(message, now_ms)
        if refusal is not None:
            self._record(message, now_ms, Arrival(0, 0, "", refusal.status, "refused"))
            return Done(refusal)
        if isinstance(request, SendRequest) and request.validate_only:
            return self._named(message, now_ms, "validated", accepted=False)
        return self._scripted(message, now_ms)

    def _project_quota(self, now_ms: int) -> Reply | None:
        return _full("quota_project", self._limits.project_full_for_ms(now_ms))

    def _device_quota(self, message: Message, now_ms: int) -> Reply | None:
        kind, registration = rules.target_of(message)
        if kind not in {"token", "fid"}:
            return None
        return _full("quota_device", self._limits.device_full_for_ms(registration, now_ms))

    def _door(self, project: str, authorization: str, now_ms: int) -> Reply | None:
        kind, _, bearer = authorization.partition(" ")
        if kind.lower() != "bearer" or not bearer:
            return unauthenticated("CREDENTIALS_MISSING")
        if not self._issuer.knows(bearer, now_ms):
            return unauthenticated("ACCESS_TOKEN_EXPIRED")
        return None if project == PROJECT else denied(project)

    def _scripted(self, message: Message, now_ms: int) -> Done:
        answer = self._scripts.next(rules.target_of(message)[1])
        fault = FAULTS[answer.answer]
        if fault.act == "answer" and fault.reply is None:
            done = self._named(message, now_ms, answer.answer, accepted=True)
            return Done(_dated(done.reply, answer, now_ms))
        status = fault.reply.status if fault.reply else 0
        self._record(message, now_ms, Arrival(0, 0, "", status, answer.answer, fault.accepted))
        return Done(_dated(fault.reply or Reply(200, b'{"name": "cut'), answer, now_ms), fault.act)

    def _named(self, message: Message, now_ms: int, answer: str, accepted: bool) -> Done:
        number = f"0:{now_ms}%{self._ledger.next_seq:016x}" if accepted else "fake_message_id"
        name = f"projects/{PROJECT}/messages/{number}"
        self._record(message, now_ms, Arrival(0, 0, "", 200, answer, accepted, name=name))
        return Done(Reply(200, msgspec.json.encode({"name": name})))

    def _record(self, message: Message, now_ms: int, verdict: Arrival) -> None:
        """Complete *verdict* (status, answer, accepted, name) with what the request said, and append it."""
        kind, registration = rules.target_of(message)
        life_s = rules.ttl_s(message)
        arrival = msgspec.structs.replace(
            verdict,
            seq=self._ledger.next_seq,
            at_ms=now_ms,
            registration=registration,
            kind=kind,
            tag=tag_of(message),
            ttl_s=-1.0 if life_s is None else life_s,
            title=(message.notification.title if message.notification else None) or "",
            data=message.data or {},
        )
        self._ledger.append(arrival)


def _full(answer: str, wait_ms: int) -> Reply | None:
    """The script's quota answer with the time until there is room; None when there is."""
    reply = FAULTS[answer].reply
    if wait_ms == 0 or reply is None:
        return None
    return Reply(reply.status, reply.body, {"Retry-After": str(-(-wait_ms // 1000))}, reply.kind)


def _dated(reply: Reply, answer: Answer, now_ms: int) -> Reply:
    """*reply* with the script's `Retry-After`, and a `Date` of the same clock."""
    if not answer.retry_after:
        return reply
    after = answer.retry_after
    if after.startswith("date+"):
        after = formatdate(now_ms // 1000 + int(after.removeprefix("date+")), usegmt=True)
    headers = {**reply.headers, "Retry-After": after, "Date": formatdate(now_ms // 1000, usegmt=True)}
    return Reply(reply.status, reply.body, headers, reply.kind)
