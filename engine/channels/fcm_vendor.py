"""The only file that knows pyfcm: its payload builder and its credentials, none of its transport.

pyfcm repeats POSTs on 502, 503 and timeouts, sleeps inside the call and recurses on `Retry-After`, so one
message may be sent many times. Nothing here touches its session: we take the bytes it builds, the address
it computes and the credentials it loads, and refresh those with a session of our own.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from pyfcm import FCMNotification
from pyfcm.errors import FCMError

from engine.channels.fcm_bearer import CredentialsRefused, Grant, IssuerAway
from engine.channels.fcm_payload import Parts
from engine.errors import SettingError
from engine.settings import variable

TOKEN_TIMEOUT_S = 15
SHORTEST_LIFE_S = 1.0
_UNUSABLE = (FCMError, GoogleAuthError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What pyfcm and google-auth raise for files that are missing, not JSON, or JSON of another kind."""


class Vendor:
    """One Firebase project, as its service-account file names it."""

    def __init__(self, service_account: str, base_url: str) -> None:
        """Load the file; raise `SettingError` (quoting nothing of it) when it is not a service account's."""
        try:
            self._fcm = FCMNotification(service_account_file=service_account)
            self._fcm.FCM_END_POINT_BASE = f"{base_url.rstrip('/')}/v1/projects"
            self.send_url: str = self._fcm.fcm_end_point
        except _UNUSABLE as error:
            name = variable("fcm_service_account")
            raise SettingError(f"{name}: no usable service-account file ({type(error).__name__})") from None
        self._credentials: Any = self._fcm.credentials
        self._session = requests.Session()
        # google-auth has no public name for the file's token_uri.
        self._session.trust_env = not on_loopback(self._credentials._token_uri)

    def message(self, parts: Parts) -> bytes:
        """The request body, UTF-8 JSON, as pyfcm builds it."""
        body: bytes = self._fcm.parse_payload(
            fcm_token=parts.target if parts.kind == "token" else None,
            notification_title=parts.title,
            notification_body=parts.body,
            data_payload=parts.data,
            android_config=parts.platforms["android"],
            apns_config=parts.platforms["apns"],
            webpush_config=parts.platforms["webpush"],
        )
        return body if parts.kind == "token" else _address(body, parts)

    def grant(self) -> Grant:
        """Ask the file's `token_uri` for an access token. Blocks for up to 15 s a try; runs in a thread.

        The expiry is read back from google-auth, which counts it on the wall clock; only its distance is
        used.
        """
        try:
            self._credentials.refresh(partial(Request(self._session), timeout=TOKEN_TIMEOUT_S))
        except TransportError:
            raise IssuerAway("unreachable") from None
        except RefreshError as error:
            if error.retryable:
                raise IssuerAway("failed") from None
            raise CredentialsRefused(_oauth_code(error)) from None
        except (GoogleAuthError, ValueError):
            raise CredentialsRefused("no_token") from None
        return Grant(self._credentials.token, self._life_s())

    def close(self) -> None:
        """Close the issuer's connections."""
        self._session.close()

    def _life_s(self) -> float:
        expiry = self._credentials.expiry
        if expiry is None:
            return SHORTEST_LIFE_S
        # google-auth's expiry is naive and means UTC.
        left_s: float = expiry.replace(tzinfo=UTC).timestamp() - time.time()
        return max(SHORTEST_LIFE_S, left_s)


def _oauth_code(error: RefreshError) -> str:
    """OAuth's error code such as `invalid_grant`; descriptions are left out, they may quote the assertion."""
    body = error.args[1] if len(error.args) > 1 else None
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    return code if re.fullmatch("[a-z_]{1,40}", code) else "refused"


def on_loopback(url: str) -> bool:
    """True for an address of this machine, which no proxy may stand in front of."""
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}


def _address(body: bytes, parts: Parts) -> bytes:
    """pyfcm 2.1 knows `token` only; `fid` is put beside its parts."""
    request = json.loads(body)
    request["message"][parts.kind] = parts.target
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()
