"""The life of a campaign as a table: state and verb → state. The database holds the same table and judges.

draft ──schedule──> scheduled ──activate──> live ──pause──> paused ──activate──> live
any of them ──end──> ended; all but draft ──stop──> ended (a kill: queued messages are suppressed as well)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from offers.errors import IllegalMove

State = Literal["draft", "scheduled", "live", "paused", "ended"]
Verb = Literal["schedule", "activate", "pause", "end", "stop"]
STATES: tuple[State, ...] = get_args(State)
VERBS: tuple[Verb, ...] = get_args(Verb)

MOVES: Mapping[tuple[State, Verb], State] = MappingProxyType(
    {
        ("draft", "activate"): "live",
        ("draft", "schedule"): "scheduled",
        ("draft", "end"): "ended",
        ("scheduled", "activate"): "live",
        ("scheduled", "pause"): "paused",
        ("scheduled", "end"): "ended",
        ("scheduled", "stop"): "ended",
        ("live", "pause"): "paused",
        ("live", "end"): "ended",
        ("live", "stop"): "ended",
        ("paused", "activate"): "live",
        ("paused", "end"): "ended",
        ("paused", "stop"): "ended",
    }
)


def move(state: State, verb: Verb) -> State:
    """The state after *verb*; raises `IllegalMove` naming the verbs that *state* does know."""
    becomes = MOVES.get((state, verb))
    if becomes is None:
        known = ", ".join(verbs(state)) or "none"
        raise IllegalMove(f"a {state} campaign has no move {verb!r}; it knows: {known}")
    return becomes


def verbs(state: State) -> tuple[Verb, ...]:
    """The verbs that *state* knows, in the table's order."""
    return tuple(verb for (before, verb) in MOVES if before == state)
