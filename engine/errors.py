"""The engine's errors, sorted by what the caller does about them.

CandlemakerError
├── SettingError      fix the setting and start again
├── ServerError       an embedded or foreign server is not as it must be; the sentence says what to do
├── Refused           the caller must change the request (4xx)
├── Busy              try again later (429 or 503 with Retry-After)
└── Zombie            this process no longer owns the partition: drop its state, write nothing
"""

from __future__ import annotations


class CandlemakerError(Exception):
    """Root of all errors the engine raises on purpose."""


class SettingError(CandlemakerError):
    """A setting is missing, unknown or malformed."""


class ServerError(CandlemakerError):
    """PostgreSQL or Valkey cannot be started, reached, or is not what it must be."""


class Refused(CandlemakerError):
    """The request is at fault."""


class Busy(CandlemakerError):
    """A bound is reached; `retry_after_s` says when to come back."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Zombie(CandlemakerError):
    """The partition has another owner now."""
