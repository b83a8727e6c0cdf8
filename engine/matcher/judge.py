"""From the triggers of one event to at most one decision, noted in caps and budget at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from engine.log.entries import Entry
from engine.log.keys import number_of
from engine.matcher.decision import Decision, StepResult, derived
from engine.matcher.state import State
from offers.decide import Choice, Held, Standing, Trigger, decide
from offers.reasons import Reason

LOW_WATER = 128
"""A block below this fraction of the budget asks for more (a lease brings a 64th)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one customer: the entry it came with, the phone's time, what names it, and
    where.

    *key* is unique among a customer's events and the same however often the event is delivered."""

    entry: Entry
    row: int
    at_ms: int
    key: tuple[object, ...]
    cell: int
    """Where, as coarse as it may be stored."""
    initial: bool

    def __repr__(self) -> str:  # no position in logs and tracebacks
        return f"Event(row={self.row}, key={self.key[0]})"


def judge(
    state: State, result: StepResult, event: Event, triggers: Mapping[Trigger, UUID], *, event_age_ms: int
) -> int:
    """Decide all *triggers* (→ occasion) of *event* together; write the outcome into *state* and *result*. How many
    campaigns that were."""
    verdict = decide(state.snapshot, list(triggers), _standing(state, event, event_age_ms))
    for held in verdict.held:
        result.tally[held.campaign, f"reason.{held.reason.value}"] += 1
        if held.reason is Reason.BUDGET_EXHAUSTED:
            result.starved.add(held.campaign)
    if verdict.choice is not None:
        _issue(state, result, event, triggers[verdict.choice.trigger], verdict.choice, verdict.held)
    return len(verdict.held) + (verdict.choice is not None)


def _standing(state: State, event: Event, event_age_ms: int) -> Standing:
    log_ms = event.entry.log_ms
    return Standing(
        row=event.row,
        consents=int(state.consents[event.row]),
        caps=state.caps,
        blocks=state.blocks,
        history=state.history,
        now_ms=log_ms,
        stale=log_ms - event.at_ms > event_age_ms,
        after_reset=event.initial and log_ms < state.reset_until_ms,
        stopped=state.stopped,
    )


def _issue(
    state: State,
    result: StepResult,
    event: Event,
    occasion: UUID,
    choice: Choice,
    held: tuple[Held, ...],
) -> None:
    campaign, log_ms = choice.campaign, event.entry.log_ms
    number = number_of(event.row, state.p)
    state.caps.note(event.row, campaign.id, log_ms)
    state.blocks.spend(campaign.id)
    if state.blocks.left(campaign.id) < max(1, campaign.budget_coupons // LOW_WATER):
        result.low.add(campaign.id)
    decision = Decision(
        id=derived("decision", number, *event.key),
        number=number,
        consents=int(state.consents[event.row]),
        position=event.entry.position,
        trigger=choice.trigger.kind,
        occasion=occasion,
        campaign=campaign,
        store=choice.store,
        cell=event.cell,
        event_at_ms=event.at_ms,
        logged_ms=log_ms,
        terms=choice.terms,
        held=held,
    )
    result.decisions.append(decision)
    result.tally[campaign.id, "decision"] += 1
