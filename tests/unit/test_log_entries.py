"""Entries survive their bytes, positions their ids, and no text shows where anybody is."""

from __future__ import annotations

import math
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.log.entries import COLUMNS, EntryKind, Fact, PingBatch, Reclaim, SearchEvent, Switch, decode, encode
from engine.log.keys import PARTITIONS, entry_id, number_of, partition_of, position_of

PINGS = st.lists(
    st.tuples(
        st.integers(0, 2**63 - 1),
        st.floats(-90, 90),
        st.floats(-180, 180),
        st.one_of(st.just(math.nan), st.floats(0, 5000, width=32)),
        st.integers(-(2**62), 2**62),
    ),
    max_size=20,
)


def batch_of(pings: list[tuple[int, float, float, float, int]]) -> PingBatch:
    records = np.array(pings, list(COLUMNS))
    return PingBatch(*(records[name] for name, _ in COLUMNS))


@given(PINGS)
def test_pings_survive_their_bytes(pings: list[tuple[int, float, float, float, int]]) -> None:
    batch = batch_of(pings)
    back = decode(EntryKind.PINGS, encode(batch))
    assert isinstance(back, PingBatch) and len(back) == len(pings)
    for name, dtype in COLUMNS:
        assert getattr(back, name).tobytes() == np.asarray(getattr(batch, name), dtype).tobytes()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (EntryKind.TICK, None),
        (EntryKind.SWITCH, Switch(7)),
        (EntryKind.RECLAIM, Reclaim(3, 5)),
        (EntryKind.FACTS, [Fact(1, "consent", {"number": 2**40, "consents": 63}), Fact(2, "stop", {"campaign": 1})]),
        (EntryKind.SEARCH, SearchEvent(UUID(int=9), 18, 60.1, 24.9, 5, [1, 2], ["Bee"], ["candles"])),
    ],
)
def test_every_kind_survives_its_bytes(kind: EntryKind, payload: object) -> None:
    assert decode(kind, encode(payload)) == payload  # type: ignore[arg-type] # parametrised


def test_bytes_of_another_version_are_refused() -> None:
    good = encode(batch_of([(1, 2.0, 3.0, 4.0, 5)]))
    with pytest.raises(ValueError, match="version 2"):
        decode(EntryKind.PINGS, b"\x02" + good[1:])
    with pytest.raises(ValueError):
        decode(EntryKind.PINGS, good[:-1])


def test_batches_join_and_part() -> None:
    first, second = batch_of([(1, 2, 3, 4, 5), (6, 7, 8, 9, 10)]), batch_of([(11, 12, 13, 14, 15)])
    joined = PingBatch.join([first, second])
    assert joined.number.tolist() == [1, 6, 11]
    assert joined.take(np.array([2, 0])).at_ms.tolist() == [15, 5]
    assert PingBatch.join([first]) is first


def test_no_position_in_a_repr() -> None:
    batch = batch_of([(1, 60.17, 24.94, 4.0, 5)])
    search = SearchEvent(UUID(int=1), 1, 60.17, 24.94, 5, brands=["secret"])
    for text in (repr(batch), repr(search), str(batch), f"{search}"):
        assert "60.17" not in text and "24.94" not in text and "secret" not in text


@given(st.integers(0, 2**43 - 1), st.integers(0, 2**20 - 1))
def test_positions_are_ids_in_order(ms: int, seq: int) -> None:
    position = position_of(f"{ms}-{seq}")
    assert entry_id(position) == f"{ms}-{seq}"
    assert position_of(f"{ms}-{seq}".encode()) == position < 2**63
    assert position_of(f"{ms + 1}-0") > position


@given(st.integers(0, 2**31 - 1), st.integers(0, PARTITIONS - 1))
def test_a_number_is_its_row_and_its_partition(row: int, p: int) -> None:
    assert (number_of(row, p) // PARTITIONS, number_of(row, p) % PARTITIONS) == (row, p)


def test_the_hash_of_a_customer_never_changes() -> None:
    """Stored rows rest on it. xxh64 of nothing is ef46db3751d8e999, by the algorithm's own test vectors."""
    assert partition_of("") == 0xEF46DB3751D8E999 % 16
    assert [partition_of(name) for name in ("anna", "äiti", "c" * 128)] == [0, 0, 12]
