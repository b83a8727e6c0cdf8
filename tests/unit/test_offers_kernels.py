"""The kernels of deciding: compiled once, and anew when anything they are made of changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import offers
from geo.kernels import DISPATCHERS, stamp_of
from offers.budget import Blocks
from offers.caps import Caps
from offers.codec import decode, encode
from offers.decide import EVENT, TRIGGER, Batch, Books, Kind, decide, decide_all
from offers.event import Search, Trigger
from offers.history import History
from offers.warming import warm
from tests.reference.offers_world import ALL_CONSENTS, NOW_MS, campaign, entering, product, snapshot, standing, store


def _signatures() -> dict[str, int]:
    return {str(dispatcher): len(dispatcher.signatures) for dispatcher in DISPATCHERS}


def test_after_warming_nothing_is_compiled_any_more() -> None:
    warm()
    before = _signatures()
    history = History()
    history.note(0, 1, NOW_MS, 2)
    audience = {"bought": {"products": ["p1"], "within_days": 3}}
    live = snapshot(
        [campaign(audience=audience), campaign(trigger="search", search={"brands": ["x"]})],
        [store(1), store(2)],
        [product(1, brand="x")],
    )
    for world in (live, decode(encode(live))):
        decide(world, entering(world), standing(history=history))
        search = Search(frozenset({1}), frozenset({"x"}), frozenset())
        decide(world, [Trigger("search", 0, search=search)], standing(stopped={1}, begun_ms=np.zeros(2, np.int64)))
        blocks = Blocks()
        for id in range(100):
            blocks.grant(id, 1)
        books, events = Books(Caps(), blocks, history), np.zeros(4, EVENT)
        events["now_ms"], events["consents"], events["triggers"] = NOW_MS, ALL_CONSENTS, [2, 0, 1, 1]
        events["trigger"] = [0, 2, 2, 3]
        triggers = np.zeros(4, TRIGGER)
        triggers["kind"] = Kind.ENTER
        found = list(decide_all(world, Batch(events, triggers[::1]), books, {7}))
        assert [[e for e, _, _ in some.made()] for some in found] == [[0]], "the cap of one holds the others"
    assert _signatures() == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("kernels/ranking.py", "reason", "raisin"), ("affinity.py", "30.0", "31.0"), ("reasons.py", '"ended"', '"over"')],
)
def test_what_a_kernel_is_made_of_is_in_its_stamp(tmp_path: Path, file: str, old: str, new: str) -> None:
    folder = Path(offers.__file__).parent
    shutil.copytree(folder, tmp_path / "offers", ignore=shutil.ignore_patterns("__pycache__"))
    assert stamp_of(tmp_path / "offers" / "kernels") == stamp_of(folder / "kernels")
    (tmp_path / "again").mkdir()
    shutil.copytree(tmp_path / "offers", tmp_path / "again" / "offers")
    edited = tmp_path / "again" / "offers" / file
    edited.write_text(edited.read_text().replace(old, new))
    assert stamp_of(tmp_path / "again" / "offers" / "kernels") != stamp_of(folder / "kernels")
