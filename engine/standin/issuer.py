"""The token issuer: a service account of its own, and the JWT-bearer grant of RFC 7523."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

PROJECT = "candlemaker-stand-in"
EMAIL = f"sender@{PROJECT}.iam.gserviceaccount.com"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
"""google-auth names Google's own endpoint as audience whatever the file's `token_uri` says; both are
taken.
"""
LONGEST_ASSERTION_S = 3600
FILE = "service-account.json"


class GrantRefused(Exception):
    """The grant is refused; *error* is OAuth's code, the text its description."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Whose assertions are good: *path* is the file a sender loads."""

    path: Path
    key: RSAPrivateKey
    token_uri: str

    @classmethod
    def kept(cls, folder: Path, token_uri: str) -> ServiceAccount:
        """The account in *folder*, made at the first start. The key outlives restarts, or a running sender
        would be refused for ever; the file (0600) is rewritten because the address may differ."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / FILE
        key = _key_in(path) or generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "stand-in",
            "private_key": pem,
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": token_uri,
        }
        _write(path, json.dumps(account, indent=2))
        return cls(path, key, token_uri)


class Issuer:
    """Grants bearers and knows which are good. Times are engine time, epoch ms, given by the caller."""

    def __init__(self, account: ServiceAccount, life_s: int) -> None:
        self._account = account
        self._public = account.key.public_key()
        self._life_s = life_s
        self._ends_ms: dict[str, int] = {}
        self.grants = 0

    def grant(self, grant_type: str, assertion: str, now_ms: int) -> dict[str, object]:
        """A fresh bearer for a good assertion; raises `GrantRefused`."""
        if grant_type != GRANT_TYPE:
            raise GrantRefused("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
        self._check(assertion)
        self._forget(now_ms)
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._ends_ms[token] = now_ms + self._life_s * 1000
        self.grants += 1
        return {"access_token": token, "expires_in": self._life_s, "token_type": "Bearer"}

    def knows(self, bearer: str, now_ms: int) -> bool:
        """Whether *bearer* was granted and lives."""
        return now_ms < self._ends_ms.get(bearer, 0)

    def revoke_all(self) -> None:
        """Make every bearer stale, as a key rotation does."""
        self._ends_ms.clear()

    def _check(self, assertion: str) -> None:
        """The assertion's own times are wall-clock times: the sender's library knows no other clock."""
        try:
            claims = jwt.decode(
                assertion,
                self._public,
                algorithms=["RS256"],
                audience=[self._account.token_uri, GOOGLE_AUDIENCE],
                issuer=EMAIL,
                leeway=10,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidSignatureError:
            raise GrantRefused("invalid_grant", "Invalid JWT Signature.") from None
        except jwt.InvalidTokenError as error:
            raise GrantRefused("invalid_grant", f"Invalid JWT: {error}") from None
        if claims["exp"] - claims["iat"] > LONGEST_ASSERTION_S:
            raise GrantRefused("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)")
        if SCOPES.isdisjoint(str(claims.get("scope", "")).split()):
            raise GrantRefused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")

    def _forget(self, now_ms: int) -> None:
        for token in [t for t, end_ms in self._ends_ms.items() if end_ms <= now_ms]:
            del self._ends_ms[token]


def _key_in(path: Path) -> RSAPrivateKey | None:
    """The key of an earlier start; None when there is none that can be read."""
    try:
        key = load_pem_private_key(json.loads(path.read_text())["private_key"].encode(), None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _write(path: Path, text: str) -> None:
    """Aside, then renamed: a sender that starts at this moment reads the old file or the new one."""
    aside = path.with_suffix(".tmp")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    aside.rename(path)
