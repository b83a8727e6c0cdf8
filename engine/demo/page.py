"""The demo's page: a map of the town with coupons popping up, the live numbers, one phone's in-app messages.

Served on loopback by the demo itself; the page asks nobody else for anything. The phone's messages come from that
customer's real stream of the API.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.demo.campaigns import RADIUS_M
from engine.demo.gauges import Gauges
from engine.demo.phones import Push
from engine.demo.scene import Scene
from engine.demo.screen import weekday_text
from engine.demo.streets import edges
from engine.demo.traffic import Traffic

FOLDER = Path(__file__).parent / "page"
FILES = {
    "/": "index.html",
    "/style.css": "style.css",
    "/map.js": "map.js",
    "/app.js": "app.js",
    "/icon.svg": "icon.svg",
}
MOST_DOTS, MOST_POPS, MOST_MESSAGES = 1_500, 40, 30
GUEST = 0
HEADERS = {
    "content-security-policy": "default-src 'self'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Page:
    """What browsers see. `hear`, `note` and `show` feed it; `serve` runs it."""

    def __init__(self, scene: Scene, traffic: Traffic, lines: Sequence[str], notices: Sequence[str]) -> None:
        self._scene, self._traffic = scene, traffic
        self._said = {"lines": lines, "notices": notices}
        self._pops: deque[dict[str, Any]] = deque(maxlen=MOST_POPS)
        self._messages: deque[Mapping[str, Any]] = deque(maxlen=MOST_MESSAGES)
        self._event = b""
        self._turn = asyncio.Event()
        self._open = True

    def hear(self, push: Push) -> None:
        """A push arrived: it pops up where its phone is."""
        if push.arrival.accepted:
            spot = self._metres(np.array([push.person.phone]))
            self._pops.append({"at": spot, "title": push.arrival.title, "guest": push.person.phone == GUEST})

    def note(self, message: Mapping[str, Any]) -> None:
        """An in-app message of the guest's phone."""
        self._messages.appendleft(message)

    def show(self, now: Gauges, tried: Mapping[str, str]) -> None:
        """A reading: every open browser is told."""
        dots = np.arange(min(MOST_DOTS, len(self._scene.people)))
        state = {
            "time": weekday_text(now.at_ms),
            "gauges": asdict(now),
            "tried": tried,
            "dots": self._metres(dots),
            "pops": list(self._pops),
            "messages": list(self._messages),
        }
        self._pops.clear()
        self._event = b"data: " + msgspec.json.encode(state) + b"\n\n"
        self._turn.set()
        self._turn = asyncio.Event()

    async def serve(self, port: int) -> None:
        """Until cancelled."""
        # One loop with the rest of the demo: a handful of browsers, one event a second.
        server = Server(
            self._app(),
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        try:
            await asyncio.shield(serving)
        finally:
            self._open = False
            self._turn.set()
            server.stop()  # type: ignore[no-untyped-call]  # granian leaves it unannotated
            await serving

    def _app(self) -> Starlette:
        routes = [Route(path, _file(name)) for path, name in FILES.items()]
        return Starlette(routes=[*routes, Route("/map.json", self._map), Route("/events", self._events)])

    async def _map(self, _: Request) -> Response:
        """The town, once: streets as pairs of points, shops, live places; metres east and north of its middle."""
        streets, city = self._scene.streets, self._scene.city
        start, end = edges(streets).T
        lines = np.stack([streets.east_m[start], streets.north_m[start], streets.east_m[end], streets.north_m[end]])
        live = {shop.place_id for shop in self._scene.live}
        shops = [
            {"at": [round(float(east)), round(float(north))], "name": shop.name, "live": shop.place_id in live}
            for shop, east, north in zip(city.shops, *city.east_north_m, strict=True)
        ]
        town = {"streets": lines.T.round().astype(int).ravel().tolist(), "shops": shops, "radius_m": RADIUS_M}
        return Response(msgspec.json.encode(town | self._said), media_type="application/json", headers=HEADERS)

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(self._tell(), media_type="text/event-stream", headers=HEADERS)

    async def _tell(self) -> AsyncGenerator[bytes, None]:
        yield b"retry: 1000\n\n" + self._event
        while self._open:
            await self._turn.wait()
            yield self._event

    def _metres(self, phones: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
        """East and north of each phone's latest report, one after the other."""
        lat_deg, lng_deg = self._traffic.lat_deg[phones], self._traffic.lng_deg[phones]
        flat: list[int] = (
            np.stack(self._scene.city.plane.to_metres(lat_deg, lng_deg)).T.round().astype(int).ravel().tolist()
        )
        return flat


def _file(name: str) -> Any:
    async def answer(_: Request) -> Response:
        return FileResponse(FOLDER / name, headers=HEADERS)

    return answer
