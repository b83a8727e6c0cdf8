"""Requests by route and status, and how long they took. Labels name routes, never a retailer or a customer."""

from __future__ import annotations

from functools import cache
from typing import Any

from engine.http.routes import Route
from engine.telemetry import counter, histogram

_requests = counter("http_requests", "Requests answered.", ("route", "status"))
_seconds = histogram("http_seconds", "From headers read to answer ready.", ("route",))
_gone = counter("http_gone", "Clients that left before their body was complete.", ("route",))
pings_accepted = counter("http_pings_accepted", "Pings appended to the log.")
pings_refused = counter("http_pings_refused", "Pings refused at the door.", ("reason",))
searches_unlogged = counter("http_searches_unlogged", "Searches answered whose event could not be appended.")


def answered(route: Route, status: int, took_s: float) -> None:
    """Count one answer."""
    _count(f"{route.method} {route.template}", status).inc()
    _time(f"{route.method} {route.template}").observe(took_s)


def gone(route: Route) -> None:
    """Count one client that went away."""
    _gone.labels(f"{route.method} {route.template}").inc()


@cache
def _count(name: str, status: int) -> Any:
    return _requests.labels(name, str(status))


@cache
def _time(name: str) -> Any:
    return _seconds.labels(name)
