"""One event of one customer → at most one offer, and a reason for every other. Pure: it reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from offers.eligible import Candidate, Moment, candidates, reason
from offers.event import Search, Standing, Trigger
from offers.live import LiveCampaign
from offers.reasons import Reason
from offers.score import Scored, Terms, scored
from offers.snapshot import Snapshot

__all__ = ["Choice", "Held", "Search", "Standing", "Trigger", "Verdict", "decide"]


class Choice(Struct, frozen=True):
    """The offer to make, at which store, because of which trigger, and the terms that ranked it first."""

    campaign: LiveCampaign
    store: int
    trigger: Trigger
    terms: Terms


class Held(Struct, frozen=True):
    """A campaign (id) that was a candidate and is not chosen; *store* is where it came farthest."""

    campaign: int
    reason: Reason
    store: int
    terms: Terms = {}
    """Of an outranked campaign, the terms it was ranked by."""


class Verdict(Struct, frozen=True):
    """What became of all candidates: each campaign stands in exactly one place. *held* is in ascending id."""

    choice: Choice | None
    held: tuple[Held, ...]


def decide(snapshot: Snapshot, triggers: Sequence[Trigger], standing: Standing) -> Verdict:
    """The verdict on all triggers of one event together.

    A campaign that the event meets at several stores is judged at each: it is held only if no store lets it pass,
    with the reason of the store where it passed the most questions (of equals, the one with the least id).
    """
    moment = Moment(snapshot, standing)
    passed: list[Candidate] = []
    held: dict[int, Held] = {}
    for candidate in candidates(snapshot, triggers):
        why = reason(candidate, moment)
        if why is None:
            passed.append(candidate)
        else:
            _keep_farthest(held, Held(candidate.campaign.id, why, candidate.store))
    choice, beaten = _best(passed, moment)
    # A campaign that passed at one store is chosen or outranked, whatever held it at another.
    held |= beaten
    if choice is not None:
        held.pop(choice.campaign.id, None)
    return Verdict(choice, tuple(held[campaign] for campaign in sorted(held)))


def _keep_farthest(held: dict[int, Held], new: Held) -> None:
    old = held.get(new.campaign)
    if old is None or (new.reason.rank, -new.store) > (old.reason.rank, -old.store):
        held[new.campaign] = new


def _best(passed: Iterable[Candidate], moment: Moment) -> tuple[Choice | None, dict[int, Held]]:
    ranking = sorted((scored(candidate, moment) for candidate in passed), key=lambda s: s.order)
    if not ranking:
        return None, {}
    first = ranking[0]
    beaten: dict[int, Held] = {}
    for other in ranking[1:]:
        if other.candidate.campaign.id != first.candidate.campaign.id:
            beaten.setdefault(other.candidate.campaign.id, _outranked(other))
    return Choice(first.candidate.campaign, first.candidate.store, first.candidate.trigger, first.terms), beaten


def _outranked(loser: Scored) -> Held:
    return Held(loser.candidate.campaign.id, Reason.OUTRANKED, loser.candidate.store, loser.terms)
