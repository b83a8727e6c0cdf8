"""The state table is the database's, word for word."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from offers.errors import IllegalMove
from offers.lifecycle import MOVES, STATES, VERBS, move, verbs


def test_the_table_equals_the_one_in_the_migration() -> None:
    text = (files("sql") / "migrations" / "0001_spine.sql").read_text(encoding="utf-8")
    inserted = text.split("INSERT INTO campaign_move VALUES")[1].split(";")[0]
    rows = re.findall(r"\('(\w+)', '(\w+)', '(\w+)'\)", inserted)
    assert {(state, verb): becomes for state, verb, becomes in rows} == dict(MOVES)
    assert len(rows) == len(MOVES)


def test_every_state_and_verb_has_an_answer() -> None:
    for state in STATES:
        for verb in VERBS:
            if (state, verb) in MOVES:
                assert move(state, verb) in STATES
            else:
                with pytest.raises(IllegalMove, match=f"a {state} campaign"):
                    move(state, verb)


def test_ended_is_the_end_and_every_other_state_can_reach_it() -> None:
    assert verbs("ended") == ()
    assert all(move(state, "end") == "ended" for state in STATES if state != "ended")


def test_a_refusal_names_what_is_possible() -> None:
    with pytest.raises(IllegalMove, match="it knows: activate, schedule, end"):
        move("draft", "pause")
