"""Ending background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.5


async def put_away(task: asyncio.Task[Any]) -> None:
    """Cancel *task* and wait for its end; its outcome does not matter any more.

    Cancelled again while it lives: a cancellation can be swallowed on its way (a library's, or one that meets another
    exception being handled). `asyncio.wait` is used because awaiting the task and suppressing its cancellation would
    swallow our own.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_S)
    if not task.cancelled():
        task.exception()  # retrieved, or asyncio complains of it
