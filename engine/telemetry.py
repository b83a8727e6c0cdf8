"""Logs and metrics: JSON lines on stderr that never hold a secret, and one Prometheus registry a process."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from engine.errors import SettingError
from engine.settings import Settings

REDACTED = "[redacted]"
PREFIX = "candlemaker_"
# A field is refused when one word of its name (split at _, - and .) is among these.
_PLACES = frozenset(("lat", "lng", "lon", "latitude", "longitude"))
_SECRETS = frozenset(("token", "code", "key", "registration", "secret", "password", "authorization"))
_SECRET_WORDS = _PLACES | _SECRETS
_HARMLESS = frozenset(("status_code", "error_code", "exit_code", "key_id", "key_prefix"))
_WORDS = re.compile(r"[_\-.\s]+")
_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s/@]+@")  # of an address, anywhere in a text
_DETAIL = re.compile(r"^DETAIL:.*$", re.MULTILINE)  # PostgreSQL quotes values of unique keys there

LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# ── Logs ──


def configure(settings: Settings, role: str = "") -> None:
    """structlog as JSON on stderr from `settings.log_level` on; each line names its role and process.

    Raises `SettingError` on an unknown level.
    """
    number = logging.getLevelNamesMapping().get(settings.log_level.upper())
    if number is None:
        raise SettingError(f"CANDLEMAKER_LOG_LEVEL={settings.log_level!r} is none of debug, info, warning, error")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(**({"role": role} if role else {}), pid=os.getpid())


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace secrets, codes, registrations and exact positions; the last stop before the line is written."""
    for name, value in line.items():
        line[name] = _clean(name, value)
    return line


def _clean(name: str, value: Any) -> Any:
    if name not in _HARMLESS and _SECRET_WORDS.intersection(_WORDS.split(name.lower())):
        return REDACTED
    if isinstance(value, Mapping):
        return {key: _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item) for item in value]
    if isinstance(value, str):
        return _DETAIL.sub("DETAIL: " + REDACTED, _PASSWORD.sub(r"\1:***@", value))
    return value


# ── Metrics ──

REGISTRY = CollectorRegistry()


def counter(name: str, says: str, labels: Sequence[str] = ()) -> Counter:
    """A counter `candlemaker_<name>_total`. Labels never name a customer."""
    return Counter(PREFIX + name, says, labels, registry=REGISTRY)


def gauge(name: str, says: str, labels: Sequence[str] = ()) -> Gauge:
    """A gauge `candlemaker_<name>`, summed over the living processes."""
    return Gauge(PREFIX + name, says, labels, registry=REGISTRY, multiprocess_mode="livesum")


def histogram(
    name: str, says: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS_S
) -> Histogram:
    """A histogram `candlemaker_<name>`."""
    return Histogram(PREFIX + name, says, labels, registry=REGISTRY, buckets=buckets)


def render() -> bytes:
    """The text of /metrics: of all roles that one supervisor runs, else of this process alone."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # set by the supervisor before prometheus_client is imported
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call] # the library's gap
        return generate_latest(together)
    return generate_latest(REGISTRY)
