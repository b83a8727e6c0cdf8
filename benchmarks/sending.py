"""An upload as a client sends it and watches it, and phones that report meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks.generator import Order, Report
from benchmarks.load import Load
from benchmarks.stage import Stage

WINDOW_S = 10.0
POLL_S = 0.1


class UploadFailed(Exception):
    """The upload was not stored."""


@dataclass(frozen=True)
class File:
    """What is sent: a file, its kind and type, more of the query."""

    path: Path
    kind: str
    media: str
    query: str = ""


async def upload(stage: Stage, key: str, file: File) -> tuple[float, Any]:
    """(seconds from the first byte sent until it is told as stored, the upload as told); raises `UploadFailed`."""
    began_s = time.perf_counter()
    told = await asyncio.to_thread(_post, stage.stack.url, key, file)
    while told["state"] not in ("done", "rejected", "failed"):
        await asyncio.sleep(POLL_S)
        told = await asyncio.to_thread(stage.client.ask, "GET", f"/v1/uploads/{told['id']}", key)
    if told["state"] != "done":
        raise UploadFailed(str(told))
    return time.perf_counter() - began_s, told


def _post(url: str, key: str, file: File) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": file.media}
    headers["Content-Length"] = str(file.path.stat().st_size)
    if file.path.suffix == ".gz":
        headers["Content-Encoding"] = "gzip"
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    with contextlib.closing(line), file.path.open("rb") as body:
        line.request("POST", f"/v1/uploads?kind={file.kind}{file.query}", body, headers)
        answer = line.getresponse()
        text = answer.read()
    if answer.status != 202:
        raise UploadFailed(f"{answer.status} {text[:500].decode()}")
    return msgspec.json.decode(text)


@dataclass
class Meanwhile:
    """What the phones were answered, a report a window."""

    reports: list[Report] = field(default_factory=list)

    @property
    def p99_ms(self) -> list[float]:
        """Of each window."""
        return [report.answer_p99_ms for report in self.reports]

    @property
    def requests(self) -> int:
        """In all."""
        return sum(report.requests for report in self.reports)


@asynccontextmanager
async def meanwhile(load: Load, pings_per_s: float, connections: int) -> AsyncIterator[Meanwhile]:
    """Phones report while the block lasts, one ping a request, whatever is answered."""
    found, stop = Meanwhile(), asyncio.Event()

    async def report() -> None:
        while not stop.is_set():
            found.reports.append(await load.run(Order(1, connections, WINDOW_S, pings_per_s)))

    reporting = asyncio.create_task(report())
    try:
        yield found
    finally:
        stop.set()
        await reporting


def peak_mb(pid: int) -> float:
    """The most memory a process had, in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)
