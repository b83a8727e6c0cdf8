"""Measurements that take turns, so that a slow minute of the machine falls on everybody."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Work = Callable[[], Any]


def seconds(work: Work) -> float:
    """How long *work* takes, by the clock on the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_turns(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of each work in each round; the first, in which caches fill, does not count."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    gc.collect()
    for number in range(rounds + 1):
        for name, work in works.items():
            one_s = seconds(work)
            if number:
                spent[name].append(one_s)
    return spent


async def turns_with(work: Work, other: Callable[[], Awaitable[Any]], rounds: int) -> tuple[list[float], list[float]]:
    """The same of one work here and one that is awaited."""
    ours, theirs = [], []
    for number in range(rounds + 1):
        ours_s, began = seconds(work), time.perf_counter()
        await other()
        if number:
            ours.append(ours_s)
            theirs.append(time.perf_counter() - began)
    return ours, theirs


def told(text: str) -> None:
    """A line for whoever waits."""
    print(f"  {text}", flush=True)
