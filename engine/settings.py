"""Settings: one frozen record, read once from a mapping.

Every knob a person may turn has a name here, a default and a sentence; the README's table is checked against
`Settings.described()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.errors import SettingError

PREFIX = "CANDLEMAKER_"
UNPREFIXED = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}


def _knob(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class Settings:
    """What an operator may set. Times carry their unit in the name."""

    data: Path = _knob(Path(".candlemaker"), "folder of the embedded servers' data, keys and snapshots")
    database_url: str = _knob("", "your own PostgreSQL (>= 15); empty: the embedded one")
    redis_url: str = _knob("", "your own Valkey or Redis; empty: the embedded one")
    host: str = _knob("127.0.0.1", "address the API listens on")
    port: int = _knob(8470, "port the API listens on")
    clock_offset_ms: int = _knob(0, "added to every clock, log and SQL alike (tests and the demo)")
    secrets: str = _knob("", "path of the file with the signing keys; empty: <data>/secrets.json, made when missing")
    fcm_service_account: str = _knob("", "path of a Firebase service-account file; empty: no push channel")
    fcm_base_url: str = _knob("https://fcm.googleapis.com", "where FCM messages go (a stand-in's address in tests)")
    fcm_ca: str = _knob("", "path of a PEM file with the certificates to trust for it; empty: the system's")
    fcm_quota_per_s: int = _knob(10_000, "messages a second that the Firebase project may send, over all senders")
    fcm_quota_share: int = _knob(80, "percent of it that is used at most")
    fcm_ramp_s: int = _knob(60, "seconds in which bulk sends rise from nothing to the full rate")
    fcm_quarter_guard_s: int = _knob(120, "seconds around each quarter of an hour that bulk sends stay clear of")
    log_bytes: int = _knob(64 << 20, "most bytes one partition's log may hold before the API answers 503")
    transitions_bytes: int = _knob(64 << 20, "most bytes of transitions kept for subscribers; 0: none are told")
    hysteresis: str = _knob("on", "off: a customer is in a fence by position alone, whatever the accuracy")
    group_commit_ms: float = _knob(2.0, "longest wait of an accepted ping for company before it is appended")
    lease_s: int = _knob(60, "how long a sender may hold messages without a word before another may take them")
    event_age_s: int = _knob(120, "a ping older than this makes no offer")
    fence_accuracy_m: float = _knob(50.0, "a fix less accurate than this begins no visit")
    fence_margin_m: float = _knob(
        20.0, "a fix has left once it is farther away than this beyond what it may be wrong by"
    )
    fence_rim_m: float = _knob(20.0, "width of the rim around a fence in which a visit goes on")
    fence_rim_share: float = _knob(0.1, "the same, as a share of the radius; the wider one counts")
    fence_silent_s: int = _knob(1_800, "a visit without a fix inside for longer than this has ended")
    fence_evidence_s: int = _knob(20, "a visit begins or ends when fixes speak for so long; 0: by one fix")
    fence_speed_m_s: float = _knob(50.0, "a fix that took more speed than this needs others to be believed")
    fence_late_s: int = _knob(30, "how long visits wait for late pings")
    token_life_s: int = _knob(3600, "life of a customer token")
    rate_per_minute: int = _knob(600_000, "requests a minute and API key before 429")
    log_level: str = _knob("info", "debug, info, warning or error")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Take every known name from *environ*; raise `SettingError` naming the variable that does not parse."""
        values: dict[str, Any] = {}
        for knob in fields(cls):
            name = variable(knob.name)
            if name in environ:
                values[knob.name] = _parse(name, environ[name], knob.default)
        unknown = sorted(n for n in environ if n.startswith(PREFIX) and n not in cls.described())
        if unknown:
            raise SettingError(f"unknown setting {unknown[0]}; known: {', '.join(sorted(cls.described()))}")
        return cls(**values)

    @classmethod
    def described(cls) -> dict[str, str]:
        """Variable name → its sentence."""
        return {variable(knob.name): knob.metadata["says"] for knob in fields(cls)}

    def environ(self) -> dict[str, str]:
        """The mapping that reads back as this record, for child processes."""
        return {variable(knob.name): str(getattr(self, knob.name)) for knob in fields(self)}


def variable(name: str) -> str:
    """The environment variable of a field."""
    return UNPREFIXED.get(name, PREFIX + name.upper())


def _parse(name: str, text: str, default: Any) -> Any:
    try:
        return type(default)(text) if not isinstance(default, Path) else Path(text)
    except ValueError as error:
        kind = type(default).__name__
        raise SettingError(f"{name}={text!r} is not a valid {kind}") from error
