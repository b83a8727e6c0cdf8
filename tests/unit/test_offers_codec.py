"""Parts: the same snapshot comes back, on views, or the bytes are refused."""

from __future__ import annotations

import mmap
import tempfile
from typing import Any

import numpy as np
import pytest

from offers.codec import LINE, PARTS, decode, digest, encode
from offers.decide import decide
from offers.errors import BrokenSnapshot
from offers.snapshot import Snapshot
from tests.reference.offers_world import campaign, entering, product, snapshot, standing, store


@pytest.fixture(scope="module")
def live() -> Snapshot:
    week = {"weekly": [{"days": ["sat"], "start": "09:00", "end": "20:00"}]}
    return snapshot(
        [
            campaign(schedule=week, audience={"bought": {"brands": ["A", "b"], "within_days": 3}}),
            campaign(code="b", trigger="search", search={"brands": ["x", "y"], "products": ["p1"]}),
            campaign(code="c", stores=["gone"]),
        ],
        [store(1), store(2, opening_hours="Mo-Sa 10:00-18:00")],
        [product(1, brand="x", category="y"), product(2)],
    )


def arrays(of: Snapshot) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "store": of.fence_store,
        "ptr": of.postings.ptr,
        "campaign": of.postings.campaign,
        "schedule": of.postings.schedule,
        "hours": of.postings.hours,
        **{f"h_{n}": a for n, a in of.hours.arrays().items()},
        **{f"s_{n}": a for n, a in of.schedules.arrays().items()},
        **{f"p_{n}": a for n, a in of.products.arrays.items()},
        **{f"f_{n}": a for n, a in of.fences.arrays().items()},
    }


def test_what_is_encoded_comes_back_equal(live: Snapshot) -> None:
    parts = encode(live)
    assert tuple(sorted(parts)) == PARTS
    back = decode(parts)
    assert back.campaigns == live.campaigns
    assert (back.skipped, back.from_ms, back.until_ms) == (live.skipped, live.from_ms, live.until_ms)
    assert (back.products.words, back.by_id) == (live.products.words, live.by_id)
    for name, array in arrays(live).items():
        again = arrays(back)[name]
        assert again.dtype == array.dtype
        assert np.array_equal(again, array), name
    assert encode(back) == parts
    assert decide(back, entering(back), standing()) == decide(live, entering(live), standing())


def test_arrays_are_aligned_read_only_views_of_a_mapped_file(live: Snapshot) -> None:
    for name, part in encode(live).items():
        with tempfile.TemporaryFile() as file:
            file.write(part)
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            back = decode({**encode(live), name: memoryview(mapped)})
            low = np.frombuffer(mapped, np.uint8).ctypes.data
            inside = [a for a in arrays(back).values() if low <= a.ctypes.data < low + len(part) and a.size]
            assert inside, name
            for array in inside:
                assert not array.flags.writeable
                assert not array.flags.owndata
                assert (array.ctypes.data - low) % LINE == 0


def test_empty_survives() -> None:
    back = decode(encode(Snapshot.empty()))
    assert (len(back.fences), back.campaigns, back.until_ms) == (0, (), 0)
    assert encode(back) == encode(Snapshot.empty())


def test_the_digest_is_of_the_bytes(live: Snapshot) -> None:
    part = encode(live)["campaigns"]
    assert digest(part) == digest(memoryview(bytearray(part)))
    assert len(digest(part)) == 32
    assert digest(part) != digest(part[:-1] + b"\x01")


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_cut_or_foreign_part_is_refused(live: Snapshot, name: str) -> None:
    parts = encode(live)
    good = parts[name]
    broken = [b"", b"CANDLE01", good[:20], good[: len(good) // 2], good[: -LINE * 2], b"X" + good[1:]]
    broken += [good[:8] + b"\xff" * 8 + good[16:], good[:16] + b"\xc1" + good[17:], b"CANDLE01" + good[8:]]
    for part in broken:
        with pytest.raises(BrokenSnapshot, match=name):
            decode({**parts, name: part})
    with pytest.raises(BrokenSnapshot, match=name):
        decode({other: parts[other] for other in parts if other != name})
    for other in PARTS:
        if other != name:
            with pytest.raises(BrokenSnapshot):
                decode({**parts, name: parts[other]})


@pytest.mark.parametrize(
    ("name", "array"),
    [("fences", b"store"), ("fences", b"index_lat"), ("campaigns", b"hours_ptr"), ("catalogue", b"retailer")],
)
def test_a_part_without_one_of_its_arrays_is_refused(live: Snapshot, name: str, array: bytes) -> None:
    parts = encode(live)
    renamed = parts[name].replace(array, array[:-1] + b"?", 1)
    with pytest.raises(BrokenSnapshot, match="lack an array"):
        decode({**parts, name: renamed})
