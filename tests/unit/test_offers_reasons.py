"""Every reason held somebody back in a test, and says so in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from offers.caps import Caps
from offers.catalogue import StoreRow
from offers.consent import Consent
from offers.decide import decide
from offers.event import Search, Standing, Trigger
from offers.reasons import RANKS, SENTENCES, Reason
from tests.reference.offers_world import DAY_MS, NOW_MS, ROW, campaign, entering, product, snapshot, standing, store

EVERYTHING = 63
TERMS = {"products": ["p1"], "brands": [], "categories": []}
BOUGHT = {"bought": {"products": ["p1"], "within_days": 30}}


def _capped() -> Caps:
    caps = Caps()
    caps.note(ROW, 1, NOW_MS - 7 * DAY_MS + 1)
    return caps


@dataclass(frozen=True)
class Case:
    """A campaign, a store, a customer of which one thing differs from what gets the offer."""

    campaign: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    standing: Callable[[], dict[str, Any]] = dict
    search: Search | None = None


CASES = {
    Reason.STOPPED: Case(standing=lambda: {"stopped": {1}}),
    Reason.NOT_STARTED: Case({"starts_at": "2026-11-21T11:00:00.001Z"}),
    Reason.ENDED: Case({"ends_at": "2026-11-21T11:00:00Z"}),
    Reason.STALE_EVENT: Case(standing=lambda: {"stale": True}),
    Reason.AFTER_RESET: Case(standing=lambda: {"after_reset": True}),
    Reason.NO_LOCATION_CONSENT: Case(standing=lambda: {"consents": EVERYTHING & ~Consent.LOCATION}),
    Reason.NO_MARKETING_CONSENT: Case(standing=lambda: {"consents": Consent.LOCATION | Consent.HISTORY}),
    Reason.SEARCH_MISMATCH: Case(
        {"trigger": "search", "search": TERMS}, search=Search(frozenset({2}), frozenset(), frozenset())
    ),
    Reason.OUTSIDE_SCHEDULE: Case({"schedule": {"weekly": [{"days": ["sat"], "start": "09:00", "end": "13:00"}]}}),
    Reason.HOURS_UNKNOWN: Case(store={"opening_hours": None}),
    Reason.STORE_CLOSED: Case(store={"opening_hours": "Sa 14:00-18:00"}),
    Reason.NO_HISTORY_CONSENT: Case({"audience": BOUGHT}, standing=lambda: {"consents": EVERYTHING & ~Consent.HISTORY}),
    Reason.NOT_IN_AUDIENCE: Case({"audience": BOUGHT}),
    Reason.CAP_REACHED: Case(standing=lambda: {"caps": _capped()}),
    Reason.BUDGET_EXHAUSTED: Case(standing=lambda: {"granted": []}),
}


def verdict_of(case: Case) -> tuple[Any, Standing]:
    live = snapshot([campaign(**case.campaign)], [_store(case)], [product(1), product(2)])
    who = standing(**case.standing())
    triggers = [Trigger("search", 0, search=case.search)] if case.search else entering(live)
    return decide(live, triggers, who), who


def _store(case: Case) -> StoreRow:
    return store(1, **case.store)


@pytest.mark.parametrize("reason", CASES)
def test_each_reason_holds_exactly_its_own_case(reason: Reason) -> None:
    verdict, _ = verdict_of(CASES[reason])
    assert verdict.choice is None
    assert [(held.campaign, held.reason, held.store) for held in verdict.held] == [(1, reason, 1)]


def test_without_any_of_them_the_offer_is_made() -> None:
    verdict, _ = verdict_of(Case())
    assert verdict.held == ()
    assert (verdict.choice.campaign.id, verdict.choice.store) == (1, 1)


def test_the_lesser_of_two_is_outranked_and_shows_its_terms() -> None:
    live = snapshot([campaign(priority=1), campaign(code="other", priority=2)])
    verdict = decide(live, entering(live), standing())
    assert verdict.choice is not None
    assert verdict.choice.campaign.id == 2
    assert [(held.campaign, held.reason) for held in verdict.held] == [(1, Reason.OUTRANKED)]
    assert verdict.held[0].terms["priority"] == 1


def test_every_reason_is_produced_here_and_has_a_sentence_and_a_rank() -> None:
    assert set(CASES) | {Reason.OUTRANKED} == set(Reason)
    assert set(SENTENCES) == set(RANKS) == set(Reason)
    for reason in Reason:
        assert reason.sentence.endswith(".")
        assert reason.value == reason.name.lower()


ONE_AFTER_THE_OTHER = list(CASES)


@pytest.mark.parametrize("place", range(len(ONE_AFTER_THE_OTHER)))
def test_the_first_reason_in_the_order_of_the_table_is_the_one_given(place: int) -> None:
    """All that can be wrong together from one reason on: that reason is named."""
    together = [r for r in ONE_AFTER_THE_OTHER[place:] if r is not Reason.SEARCH_MISMATCH]
    if ONE_AFTER_THE_OTHER[place] is Reason.SEARCH_MISMATCH:
        return  # only searches know it; see the next test
    spec = {k: v for r in reversed(together) for k, v in CASES[r].campaign.items()}
    who = {k: v for r in reversed(together) for k, v in CASES[r].standing().items()}
    where = {k: v for r in reversed(together) for k, v in CASES[r].store.items()}
    lost = [
        r for r in together if r in (Reason.NO_LOCATION_CONSENT, Reason.NO_MARKETING_CONSENT, Reason.NO_HISTORY_CONSENT)
    ]
    if lost:
        keep = {Reason.NO_LOCATION_CONSENT: 0, Reason.NO_MARKETING_CONSENT: 1, Reason.NO_HISTORY_CONSENT: 13}
        who["consents"] = keep[lost[0]]
    verdict, _ = verdict_of(Case(spec, where, lambda: who))
    assert [held.reason for held in verdict.held] == [ONE_AFTER_THE_OTHER[place]]


def test_a_search_needs_no_location_consent_and_survives_a_reset() -> None:
    looking = Search(frozenset({1}), frozenset(), frozenset())
    case = Case(
        {"trigger": "search", "search": TERMS},
        standing=lambda: {"consents": int(Consent.MARKETING_INAPP), "after_reset": True},
        search=looking,
    )
    verdict, _ = verdict_of(case)
    assert verdict.choice is not None
    closed = Case(case.campaign, {"opening_hours": "off"}, search=Search(frozenset({2}), frozenset(), frozenset()))
    verdict, _ = verdict_of(closed)
    assert [held.reason for held in verdict.held] == [Reason.SEARCH_MISMATCH]
