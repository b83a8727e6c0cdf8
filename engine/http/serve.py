"""`candlemaker api`: the application on granian, one process, drained at SIGTERM.

Draining: /readyz turns 503, streams end, requests under way are answered, then the listener closes. Nothing is
acknowledged before it is committed or appended, so nothing acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces, TaskImpl
from granian.http import HTTP1Settings
from granian.server.embed import Server

from engine import runtime
from engine.http.app import LONGEST_HEADERS, build
from engine.http.call import Services
from engine.http.services import services
from engine.settings import Settings
from engine.telemetry import configure

DRAIN_S = 20.0
CLOSE_S = 3.0
NOTICE_S = 0.2
"""A balancer that polls /readyz sees it before the listener closes."""

log = structlog.get_logger()


def main(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then leave the process, with 0 after an orderly end."""
    configure(settings, "api")
    code = runtime.run(serve(settings))
    # Everything is closed by now. One of granian's threads that wakes while the interpreter is torn down aborts the
    # process, so that an orderly end would look like a crash: leave without the tearing down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def serve(settings: Settings, stop: asyncio.Event | None = None) -> int:
    """Serve until *stop* is set or a signal arrives."""
    stopping = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with services(settings) as open_services:
        server = _server(settings, build(open_services))
        runtime.settled()
        serving = asyncio.create_task(server.serve())
        log.info("api.serving", host=settings.host, port=settings.port)
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            waiting.cancel()
            serving.result()
            return 1
        await _drain(open_services)
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it unannotated
        # A stop that comes before granian's worker listens for it is never heard; by now nobody is inside.
        await asyncio.wait({serving}, timeout=CLOSE_S)
    log.info("api.stopped")
    return 0


async def _drain(open_services: Services) -> None:
    """Unready, then wait until nobody is inside; new requests are still answered meanwhile."""
    log.info("api.draining")
    open_services.ready = False
    open_services.wakes.close()
    await asyncio.sleep(NOTICE_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            gates = open_services.gate, open_services.reserve_gate
            while any(gate.inside for gate in gates) or open_services.wakes.streams:  # noqa: ASYNC110 - plain counters
                await asyncio.sleep(0.02)


def _server(settings: Settings, app: Any) -> Server:
    return Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        task_impl=TaskImpl.asyncio,  # real tasks: the other kind cannot be cancelled, so no deadline would hold
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=4 * LONGEST_HEADERS),
        log_enabled=False,
    )
