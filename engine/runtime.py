"""How the long-lived roles run: uvloop, and a garbage collector that does not look through what stays."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

THRESHOLDS = (20_000, 20, 50)
"""Of the collector. Work here ends with hardly a circle, and hundreds of requests are under way at any time: Python's
700 has them all looked through several times."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` for a role's process."""
    gc.set_threshold(*THRESHOLDS)
    return uvloop.run(main)


def settled() -> None:
    """What is there by now stays: the collector need not look through it again."""
    gc.collect()
    gc.freeze()
