"""Requests by route and status, and how long they took. Labels name routes, never a retailer or a customer."""

from __future__ import annotations

from typing import Any

from engine.http.routes import Route
from engine.telemetry import counter, histogram

_requests = counter("http_requests", "Requests answered.", ("route", "status"))
_seconds = histogram("http_seconds", "From headers read to answer ready.", ("route",))
pings_accepted = counter("http_pings_accepted", "Pings appended to the log.")
pings_refused = counter("http_pings_refused", "Pings refused at the door.", ("reason",))
searches_unlogged = counter("http_searches_unlogged", "Searches answered whose event could not be appended.")


class Meter:
    """The measures of one route; finding a labelled child costs more than counting with it."""

    def __init__(self, route: Route) -> None:
        self._name = f"{route.method} {route.template}"
        self._seconds = _seconds.labels(self._name)
        self._requests: dict[int, Any] = {}

    def answered(self, status: int, took_s: float) -> None:
        """Count one answer."""
        child = self._requests.get(status)
        if child is None:
            child = self._requests[status] = _requests.labels(self._name, str(status))
        child.inc()
        self._seconds.observe(took_s)
