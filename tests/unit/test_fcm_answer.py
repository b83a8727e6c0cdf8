"""Every row of FCM's answer table, read as an outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.channels.fcm_answer import classify, is_stale_bearer, retry_after_s
from engine.channels.push import Verdict

NOW_MS = 1_764_000_000_000
FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD = "type.googleapis.com/google.rpc.BadRequest"
QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
NOT_A_TOKEN = "The registration token is not a valid FCM registration token"
SECRET = "registration-that-nobody-may-see"


def error(status: str, *details: dict[str, Any], message: str = f"prose with {SECRET}") -> bytes:
    return json.dumps({"error": {"status": status, "message": message, "details": list(details)}}).encode()


def fcm(code: str) -> dict[str, Any]:
    return {"@type": FCM, "errorCode": code}


def fields(*names: str) -> dict[str, Any]:
    return {"@type": BAD, "fieldViolations": [{"field": n, "description": SECRET} for n in names]}


def quota(*subjects: str) -> dict[str, Any]:
    return {"@type": QUOTA, "violations": [{"subject": s, "description": "rate exceeded"} for s in subjects]}


ROWS = [
    ("accepted", 200, b'{"name": "projects/p/messages/7"}', Verdict.SENT),
    ("accepted without a name", 200, b"{}", Verdict.UNKNOWN),
    ("accepted, body cut", 200, b'{"name": "pro', Verdict.UNKNOWN),
    (
        "registration, by sentence",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), message=NOT_A_TOKEN),
        Verdict.DEAD_REGISTRATION,
    ),
    (
        "registration, by field",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), fields("message.token")),
        Verdict.DEAD_REGISTRATION,
    ),
    (
        "registration, by the new field",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), fields("message.fid")),
        Verdict.DEAD_REGISTRATION,
    ),
    (
        "payload, although an FcmError",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), fields("message.data"), message=NOT_A_TOKEN),
        Verdict.PAYLOAD_FAULT,
    ),
    (
        "payload and registration blamed together",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), fields("message.data", "message.token")),
        Verdict.PAYLOAD_FAULT,
    ),
    (
        "FcmError that names nothing",
        400,
        error("INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), message="Android message is too big"),
        Verdict.PAYLOAD_FAULT,
    ),
    (
        "only BadRequest, even about the token",
        400,
        error("INVALID_ARGUMENT", fields("message.token"), message=NOT_A_TOKEN),
        Verdict.PAYLOAD_FAULT,
    ),
    ("no details", 400, error("INVALID_ARGUMENT", message=NOT_A_TOKEN), Verdict.PAYLOAD_FAULT),
    ("not JSON", 400, b"<html>", Verdict.PAYLOAD_FAULT),
    ("stale bearer, twice", 401, error("UNAUTHENTICATED"), Verdict.LANE_STOP),
    (
        "APNs or web push credentials",
        401,
        error("UNAUTHENTICATED", fcm("THIRD_PARTY_AUTH_ERROR")),
        Verdict.SUBLANE_STOP,
    ),
    (
        "somebody else's registration",
        403,
        error("PERMISSION_DENIED", fcm("SENDER_ID_MISMATCH")),
        Verdict.REMOVED,
    ),
    ("no permission", 403, error("PERMISSION_DENIED"), Verdict.LANE_STOP),
    ("gone", 404, error("NOT_FOUND", fcm("UNREGISTERED")), Verdict.REMOVED),
    ("wrong project", 404, error("NOT_FOUND"), Verdict.LANE_STOP),
    ("a proxy's 404", 404, b"<html>not here</html>", Verdict.LANE_STOP),
    ("project quota", 429, error("X", fcm("QUOTA_EXCEEDED"), quota("project:1")), Verdict.LANE_PAUSE),
    ("quota, unnamed", 429, error("X", fcm("QUOTA_EXCEEDED")), Verdict.LANE_PAUSE),
    ("device quota", 429, error("X", fcm("QUOTA_EXCEEDED"), quota("device:abc")), Verdict.DEVICE_BACKOFF),
    (
        "device and project quota",
        429,
        error("X", fcm("QUOTA_EXCEEDED"), quota("device:abc", "project:1")),
        Verdict.LANE_PAUSE,
    ),
    ("internal", 500, error("INTERNAL", fcm("INTERNAL")), Verdict.RETRY),
    ("unavailable", 503, error("UNAVAILABLE", fcm("UNAVAILABLE")), Verdict.UNKNOWN),
    ("a gateway's page", 502, b"<!DOCTYPE html>", Verdict.UNKNOWN),
    ("a gateway's timeout", 504, b"", Verdict.UNKNOWN),
    ("request timeout", 408, b"", Verdict.UNKNOWN),
    ("too large", 413, b"", Verdict.PAYLOAD_FAULT),
    ("redirect", 302, b"", Verdict.LANE_STOP),
    ("wrong method", 405, b"", Verdict.LANE_STOP),
    ("outside HTTP", 999, b"", Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "verdict"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_row(status: int, body: bytes, verdict: Verdict) -> None:
    outcome = classify(status, {}, body, NOW_MS)
    assert outcome.verdict is verdict
    assert SECRET not in repr(outcome), "Google's prose may quote what we sent"


def test_the_name_is_kept() -> None:
    assert classify(200, {}, b'{"name": "projects/p/messages/7"}', NOW_MS).provider_id == "projects/p/messages/7"


def test_a_200_with_retry_after_is_sent_all_the_same() -> None:
    outcome = classify(200, {"retry-after": "30"}, b'{"name": "n"}', NOW_MS)
    assert (outcome.verdict, outcome.retry_after_s) == (Verdict.SENT, None)


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (429, {}, 60.0),
        (429, {"retry-after": "0"}, 0.0),
        (503, {"retry-after": "120"}, 120.0),
        (503, {}, None),
        (500, {"retry-after": "15"}, 15.0),
        (404, {"retry-after": "15"}, None),
    ],
)
def test_waits(status: int, headers: dict[str, str], wait_s: float | None) -> None:
    assert classify(status, headers, b"", NOW_MS).retry_after_s == wait_s


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 24 Nov 2025 15:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT", "date": "Mon, 24 Nov 2025 16:00:20 GMT"}, 10.0),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT", "date": "nonsense"}, 30.0),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait_s: float | None) -> None:
    """NOW_MS is Mon, 24 Nov 2025 16:00:00 GMT."""
    assert retry_after_s(headers, NOW_MS) == wait_s


def test_only_a_plain_401_asks_for_a_fresh_bearer() -> None:
    assert is_stale_bearer(401, error("UNAUTHENTICATED"))
    assert is_stale_bearer(401, b"")
    assert not is_stale_bearer(401, error("UNAUTHENTICATED", fcm("THIRD_PARTY_AUTH_ERROR")))
    assert not is_stale_bearer(403, error("PERMISSION_DENIED"))


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'{"error": 5}', b'{"error": {"details": [5]}}', b"\xff", b"[" * 2000]
)
def test_no_body_raises(body: bytes) -> None:
    assert classify(400, {}, body, NOW_MS).verdict is Verdict.PAYLOAD_FAULT
