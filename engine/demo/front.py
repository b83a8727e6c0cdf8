"""What a person sees of a run: the terminal and the page, fed by the gauges, the pushes and the guest's own stream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from rich.console import Console

from engine.demo.gauges import Gauges, Meter
from engine.demo.page import Page
from engine.demo.replay import GUEST
from engine.demo.scene import NOTICES
from engine.demo.screen import Screen, tried_rows
from engine.demo.show import Show, perform
from engine.embedded.server import free_port


async def on_screen(show: Show, stop: asyncio.Event, console: Console) -> None:
    """The play with screen and page, until its time is over or *stop* is set."""
    port = usable(show.options.port)
    told = show.scene.replay.said if show.scene.replay is not None else ()
    meter = Meter(show.stage.settings, show.stage.clock)
    page = Page(show.scene, show.traffic, told, NOTICES)
    lines = [f"Page: http://127.0.0.1:{port}   API: {show.stage.stack.url}", *told]
    screen = Screen(console, lines, NOTICES, show.guards.tried, show.tills.shown)

    def tell_page(now: Gauges) -> None:
        page.show(now, tried_rows(now, show.guards.tried, show.tills.shown))

    show.phones.watch += [meter.hear, screen.hear, page.hear]
    meter.heard += [screen.show, tell_page]
    with screen:
        await perform(show, stop, [meter.run(), page.serve(port), guest_stream(show, page)])


async def guest_stream(show: Show, page: Page) -> None:
    """The guest's in-app stream onto the page, each message with its coupon's code as that customer may see it."""
    guest = show.scene.people[GUEST]

    async def note(message: dict[str, Any]) -> None:
        caller = await show.phones.caller(guest)
        answer = await caller.ask("GET", f"/v1/coupons/{message['coupon']}")
        page.note(message | ({"code": answer.json()["code"]} if answer.status == 200 else {}))

    await show.phones.stream(guest, note)


def usable(port: int) -> int:
    """*port* if nobody listens there, else a free one."""
    if port:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    return free_port()
