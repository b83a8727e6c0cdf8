"""The peers as the bench runs them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
HOME = Path(__file__).parents[3] / ".peers"
"""Where `make peers-send` installs them."""
PYTHON = HOME / "venv" / "bin" / "python"
MODES = ("sequence", "threads-8", "async")


class Spent(msgspec.Struct, frozen=True):
    """What so many messages took of one peer. *cpu_s* is of its process, calls only."""

    sent: int
    cpu_s: float
    wall_s: float
    version: str = ""

    @property
    def a_cpu_second(self) -> float:
        """Messages."""
        return self.sent / self.cpu_s

    @property
    def a_second(self) -> float:
        """Messages."""
        return self.sent / self.wall_s


def require() -> None:
    """Raise RuntimeError naming the command when a peer is missing."""
    for program in (str(PYTHON), "node", "h2load"):
        if shutil.which(program) is None:
            raise RuntimeError(f"to measure against {Path(program).name}: make peers-send")
    if not (HOME / "node_modules" / "fcm-v1-http2").is_dir():
        raise RuntimeError("to measure against fcm-v1-http2: make peers-send")


async def firebase(url: str, ca: Path, count: int) -> Spent:
    """firebase-admin, its async call."""
    return await _ran([str(PYTHON), str(HERE / "firebase.py"), url, str(count)], ca)


async def pyfcm(url: str, ca: Path, count: int, mode: str) -> Spent:
    """pyfcm in one of its modes."""
    return await _ran([str(PYTHON), str(HERE / "pyfcm_modes.py"), url, str(count), mode], ca)


async def node(url: str, ca: Path, count: int, connections: int, streams: int) -> Spent:
    """fcm-v1-http2."""
    script = str(HERE / "fcm_v1_http2.js")
    return await _ran(["node", script, str(HOME), url, str(count), str(connections), str(streams)], ca)


async def h2load(url: str, body: Path, count: int, connections: int, streams: int) -> Spent:
    """The load generator, with the body of a message; its rate is its own, its processor time the process's."""
    argv = ["h2load", "-t1", f"-n{count}", f"-c{connections}", f"-m{streams}", "-d", str(body),
            "-H", "authorization: Bearer ya29.bench", "-H", "content-type: application/json",
            f"{url}/v1/projects/p/messages:send"]  # fmt: skip
    before, began = os.times(), time.perf_counter()
    said = await _said(argv, dict(os.environ))
    after, wall_s = os.times(), time.perf_counter() - began
    took = re.search(r"finished in ([\d.]+)(us|ms|s)", said)
    if took is None or f"{count} succeeded" not in said:
        raise RuntimeError(f"h2load did not do it:\n{said}")
    wall_s = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[took[2]]
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(count, cpu_s, wall_s, (await _said(["h2load", "--version"], dict(os.environ))).split("/")[-1].strip())


async def wire(library: str, url: str, ca: Path, count: int, flying: int) -> Spent:
    """An HTTP/2 client library; what the engine has installed runs as the engine runs it."""
    python = str(PYTHON) if library == "pycurl" else sys.executable
    whole = f"{url}/v1/projects/p/messages:send"
    argv = [python, str(HERE / "wires.py"), library, whole, str(ca), str(count), str(flying)]
    return await _ran(argv, ca)


async def _ran(argv: Sequence[str], ca: Path) -> Spent:
    trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(ca))
    said = await _said(argv, {**os.environ, **trust, "NO_PROXY": "127.0.0.1"})
    return msgspec.json.decode(said.strip().splitlines()[-1], type=Spent)


async def _said(argv: Sequence[str], environ: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{Path(argv[-1]).name} {argv[1:2]} failed:\n{err.decode()[-2000:]}")
    return out.decode()
