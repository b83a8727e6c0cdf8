"""Facts: what PostgreSQL owns and the matcher must see, one function a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from engine.log.entries import Fact
from engine.log.keys import PARTITIONS
from engine.matcher.decision import StepResult
from engine.matcher.state import HISTORY, LOCATION, State


def apply_fact(state: State, result: StepResult, fact: Fact) -> None:
    """Apply one fact that the committed state does not have. Facts the tables already showed when this state was loaded
    are passed over; an outcome is not among them, for its refund is written by the matcher itself."""
    if fact.kind == "outcome" or fact.seq > state.loaded_seq:
        _KINDS[fact.kind](state, result, fact.payload)


def replay_fact(state: State, fact: Fact) -> None:
    """What a fact that is part of the committed state did to presence, which is not: the tables know only the newest
    consent, but a withdrawal in between ended every visit, whatever was allowed again later."""
    if fact.kind == "forget" or (fact.kind == "consent" and not int(fact.payload["consents"]) & LOCATION):
        state.forget(_row(state, fact.payload))


def _row(state: State, payload: dict[str, Any]) -> int:
    row = int(payload["number"]) // PARTITIONS
    state.reserve(row + 1)
    return row


def _consent(state: State, _: StepResult, payload: dict[str, Any]) -> None:
    """New consents at once; what rests on a withdrawn one is forgotten."""
    row, consents = _row(state, payload), int(payload["consents"])
    state.consents[row] = consents
    if not consents & LOCATION:
        state.forget(row)
    if not consents & HISTORY:
        state.history.forget(row)


def _purchase(state: State, _: StepResult, payload: dict[str, Any]) -> None:
    row = _row(state, payload)
    if state.consents[row] & HISTORY:
        for product, quantity in payload["lines"]:
            state.history.note(row, int(product), int(payload["at_ms"]), int(quantity))


def _outcome(state: State, result: StepResult, payload: dict[str, Any]) -> None:
    """No message of the decision went out: its cap and its budget go back."""
    row, campaign = _row(state, payload), int(payload["campaign"])
    if not payload.get("walked"):  # a start campaign's, whose caps and blocks are not ours
        state.caps.give_back(row, campaign, int(payload["logged_ms"]))
        state.blocks.refund(campaign)
    result.refunds.append((UUID(payload["decision"]), campaign))
    result.counted[campaign, "refund"] += 1


def _grant(state: State, _: StepResult, payload: dict[str, Any]) -> None:
    # Facts from before grants were told many at once may still wait.
    for campaign, coupons in payload.get("grants") or [(payload["campaign"], payload["coupons"])]:
        state.blocks.grant(int(campaign), int(coupons))


def _stop(state: State, _: StepResult, payload: dict[str, Any]) -> None:
    state.stopped.add(int(payload["campaign"]))


def _forget(state: State, _: StepResult, payload: dict[str, Any]) -> None:
    row = _row(state, payload)
    state.consents[row] = 0
    state.forget(row)
    state.history.forget(row)
    state.caps.forget(row)


_KINDS: dict[str, Callable[[State, StepResult, dict[str, Any]], None]] = {
    "consent": _consent,
    "purchase": _purchase,
    "outcome": _outcome,
    "grant": _grant,
    "stop": _stop,
    "forget": _forget,
}
