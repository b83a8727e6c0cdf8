"""Who walks in the demo: parts, consents, copies; the same seed gives the same town."""

from __future__ import annotations

import pytest

from engine.demo.people import NO_CONSENT, PURPOSES, RIDERS, WAITING, Person, people

HOUSEHOLDS = list(range(1, 801))


@pytest.fixture(scope="module")
def folk() -> list[Person]:
    return people(HOUSEHOLDS, 2_000, seed=7)


def test_everybody_has_an_identity_and_a_phone_of_their_own(folk: list[Person]) -> None:
    assert [person.phone for person in folk] == list(range(2_000))
    assert len({person.id for person in folk}) == len({person.registration for person in folk}) == 2_000


def test_copies_begin_when_the_households_are_used_up(folk: list[Person]) -> None:
    assert sorted(person.household for person in folk[:800]) == HOUSEHOLDS
    assert {person.copy for person in folk[:800]} == {0}
    assert [person.copy for person in folk[800:1_600:100]] == [1] * 8
    assert folk[1_600].household == folk[0].household and folk[1_600].copy == 2


def test_parts_are_played_by_people_who_allow_everything(folk: list[Person]) -> None:
    parts = [person.part for person in folk]
    assert parts[0] == "guest" and parts.count("rider") == RIDERS and parts.count("waiting") == WAITING
    assert all(all(person.consents.values()) for person in folk if person.part != "walker")


def test_consents_have_the_shares_they_claim(folk: list[Person]) -> None:
    none = sum(not any(person.consents.values()) for person in folk) / len(folk)
    assert abs(none - NO_CONSENT) < 0.02
    silent = [p for p in folk if p.consents["location"] and not p.consents["marketing_push"]]
    assert silent and not any(person.allows_all for person in silent)
    assert all(set(person.consents) == set(PURPOSES) for person in folk)


def test_a_seed_is_a_town() -> None:
    assert people(HOUSEHOLDS, 400, 1) == people(HOUSEHOLDS, 400, 1) != people(HOUSEHOLDS, 400, 2)


def test_a_registration_is_not_shown(folk: list[Person]) -> None:
    assert folk[1].registration not in repr(folk[1])
    assert folk[1].wire()["devices"] == [
        {"name": "phone", "platform": "android", "kind": "token", "registration": folk[1].registration}
    ]
