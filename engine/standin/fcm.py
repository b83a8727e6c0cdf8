"""What becomes of one request at `messages:send`: judged, written to the ledger, then answered."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple

import msgspec

from engine.standin import rules, shape
from engine.standin.google import Reply, denied, unauthenticated, unreadable
from engine.standin.issuer import PROJECT, Issuer
from engine.standin.ledger import Arrival, Ledger
from engine.standin.limits import Limits
from engine.standin.message import Message, SendRequest, tag_of
from engine.standin.script import FAULTS, Act, Answer, Scripts


@dataclass(frozen=True, slots=True)
class Request:
    """One POST to `messages:send`. *stream* is HTTP/2's, 0 over HTTP/1.1."""

    project: str
    authorization: str
    body: bytes
    stream: int = 0


class Done(NamedTuple):
    """The answer, what to do on the wire, and after how long."""

    reply: Reply
    act: Act = "answer"
    after_s: float = 0.0


class Fcm:
    """One project's send method. Times are engine time, epoch ms, given by the caller."""

    def __init__(self, issuer: Issuer, ledger: Ledger, scripts: Scripts, limits: Limits) -> None:
        self._issuer = issuer
        self._ledger = ledger
        self._scripts = scripts
        self._limits = limits

    def send(self, request: Request, now_ms: int) -> Done:
        """Judge one arrival in Google's order: bearer, project, quota, names and types, values; then the script."""
        asked = shape.read(request.body)
        message = asked.message if isinstance(asked, SendRequest) and asked.message else Message()
        about = self._about(message, now_ms, request.stream)
        refusal = self._door(request.project, request.authorization, now_ms) or self._project_quota(now_ms)
        if refusal is None:
            refusal = unreadable(asked) if isinstance(asked, list) else rules.refusal_of(asked)
        refusal = refusal or self._device_quota(message, now_ms)
        if refusal is not None:
            self._record(about, refusal.status, "refused")
            return Done(refusal)
        if isinstance(asked, SendRequest) and asked.validate_only:
            return Done(self._named(about, "validated", accepted=False))
        return self._scripted(about, self._scripts.next(about.registration))

    def unseen(self, stream: int, why: str, now_ms: int) -> None:
        """A request that HTTP/2 kept from FCM; nobody has read whom it was for."""
        self._ledger.append(Arrival(self._ledger.next_seq, now_ms, "", 0, why, stream=stream))

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

    def _scripted(self, about: Arrival, answer: Answer) -> Done:
        fault = FAULTS[answer.answer]
        if fault.act == "answer" and fault.reply is None:
            reply = self._named(about, answer.answer, accepted=True)
        else:
            reply = fault.reply or Reply(200, b'{"name": "cut')
            self._record(about, fault.reply.status if fault.reply else 0, answer.answer, fault.accepted)
        return Done(_dated(reply, answer, about.at_ms), fault.act, answer.after_s)

    def _named(self, about: Arrival, answer: str, accepted: bool) -> Reply:
        number = f"0:{about.at_ms}%{about.seq:016x}" if accepted else "fake_message_id"
        name = f"projects/{PROJECT}/messages/{number}"
        self._record(about, 200, answer, accepted, name)
        return Reply(200, msgspec.json.encode({"name": name}))

    def _about(self, message: Message, now_ms: int, stream: int) -> Arrival:
        """What the request said; its verdict is still open."""
        kind, registration = rules.target_of(message)
        life_s = rules.ttl_s(message)
        return Arrival(
            seq=self._ledger.next_seq,
            at_ms=now_ms,
            registration=registration,
            status=0,
            answer="",
            kind=kind,
            tag=tag_of(message),
            ttl_s=-1.0 if life_s is None else life_s,
            title=(message.notification.title if message.notification else None) or "",
            data=message.data or {},
            stream=stream,
        )

    def _record(self, about: Arrival, status: int, answer: str, accepted: bool = False, name: str = "") -> None:
        verdict = {"status": status, "answer": answer, "accepted": accepted, "name": name}
        self._ledger.append(msgspec.structs.replace(about, **verdict))


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
