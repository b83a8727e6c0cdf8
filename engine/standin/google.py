"""Error bodies in Google's shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.standin.shape import Problem

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
NOT_A_REGISTRATION = "The registration token is not a valid FCM registration token"
INVALID = "Request contains an invalid argument."


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json; charset=UTF-8"


def refusal(code: int, status: str, message: str, *details: dict[str, Any]) -> Reply:
    """`{"error": {...}}` with *details*."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return Reply(code, msgspec.json.encode({"error": error}))


def fcm_error(code: str) -> dict[str, Any]:
    """The extension that carries FCM's own code."""
    return {"@type": FCM_ERROR, "errorCode": code}


def bad_request(problems: Sequence[Problem]) -> dict[str, Any]:
    """The extension that names fields; a problem of the whole body has no field."""
    violations = [{"field": p.field, "description": p.says} if p.field else {"description": p.says} for p in problems]
    return {"@type": BAD_REQUEST, "fieldViolations": violations}


def quota_failure(subject: str, says: str) -> dict[str, Any]:
    """The extension that says whose quota is exhausted."""
    return {"@type": QUOTA_FAILURE, "violations": [{"subject": subject, "description": says}]}


def unreadable(problems: Sequence[Problem]) -> Reply:
    """Names or types are wrong: Google's JSON front end answers, FCM is not reached."""
    text = "\n".join(p.says for p in problems)
    return refusal(400, "INVALID_ARGUMENT", text, bad_request(problems))


def invalid(message: str, problems: Sequence[Problem] = ()) -> Reply:
    """FCM itself refuses an argument."""
    details = [fcm_error("INVALID_ARGUMENT")]
    if problems:
        details.append(bad_request(problems))
    return refusal(400, "INVALID_ARGUMENT", message, *details)


def unauthenticated(reason: str) -> Reply:
    """No bearer, an unknown one, or one past its life; *reason* is ErrorInfo's."""
    return refusal(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
        "or other valid authentication credential.",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {"service": "fcm.googleapis.com"},
        },
    )


def denied(project: str) -> Reply:
    """A good bearer for another project: configuration, no FcmError."""
    return refusal(
        403,
        "PERMISSION_DENIED",
        "Permission 'cloudmessaging.messages.create' denied on resource "
        f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist).",
    )
