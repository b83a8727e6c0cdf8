"""The lanes, in the order in which they go, and what each must leave to those before it."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """A message's place in the queue; the text is what the database stores."""

    TRANSACTIONAL = "transactional"
    """A person waits for it: an order, a code."""
    TRIGGERED = "triggered"
    """An offer that answers what a person does now."""
    BULK = "bulk"
    """A campaign's start, to everybody."""


LANES = tuple(Lane)
LEFT = {Lane.TRANSACTIONAL: 0.0, Lane.TRIGGERED: 0.1, Lane.BULK: 0.3}
"""Share of slots and tokens that a lane leaves alone, for whoever comes before it."""


def slots(limit: int, lane: Lane) -> int:
    """How many of *limit* slots may be taken when one of *lane* takes the next, at least one."""
    return max(1, limit - round(limit * LEFT[lane]))
