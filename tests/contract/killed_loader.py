"""A loader that dies by kill -9 at its n-th step. `python -m tests.contract.killed_loader` reads numbers from stdin.

A step is a statement sent or answered, a part fetched, a piece copied. Each number is a process of its own, forked from
this one, which has only imported; it answers `killed`, or `done` with how many steps there were.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg

from engine.embedded.secrets import load_secrets
from engine.loader.lane import Lane
from engine.loader.load import Load
from engine.loader.run import ANY_BYTES
from engine.postgres.pool import ENGINE, open_pool
from engine.settings import Settings


class Steps:
    """Counts, and dies at the *last* one."""

    def __init__(self, last: int) -> None:
        self.last, self.taken = last, 0

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def outer(*args: Any, **kwargs: Any) -> Any:
            self.step()
            answer = await inner(*args, **kwargs)
            self.step()
            return answer

        return outer


def dying(steps: Steps) -> None:
    """Let everything that touches the database count."""
    of = asyncpg.connection.Connection
    of._do_execute = steps.around(of._do_execute)
    of.execute = steps.around(of.execute)
    Load._fetch = steps.around(Load._fetch)  # type: ignore[method-assign]
    copied = Load._copied

    async def counted(self: Load, *args: Any) -> AsyncIterator[bytes]:
        async for piece in copied(self, *args):
            steps.step()
            yield piece

    Load._copied = counted  # type: ignore[method-assign, assignment]


async def work(settings: Settings) -> None:
    """Everything that is queued."""
    pool = await open_pool(settings, ENGINE)
    lane = Lane(settings, pool, load_secrets(settings).coupon_key, ANY_BYTES)
    while await lane.turn():
        pass
    await lane.close()
    await pool.close()


def child(last: int) -> None:
    steps = Steps(last)
    dying(steps)
    try:
        asyncio.run(work(Settings.read(os.environ)))
        print("done", steps.taken, flush=True)
    except BaseException:
        traceback.print_exc()
        print("broken", flush=True)
    os._exit(0)


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(int(line))
        if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
            print("killed", flush=True)


if __name__ == "__main__":
    main()
