"""Prices as rows of PostgreSQL's binary COPY: all of one length, so that a block of them is one array and its bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import numpy.typing as npt

from engine.http.products import Availability, PickupMethod, PickupSla

NONE = -1
NO_TIME = np.iinfo(np.int64).min
"""PostgreSQL's -infinity on the wire: no sale date."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
WORDS: dict[str, tuple[str, ...]] = {
    "availability": get_args(Availability),
    "pickup_method": get_args(PickupMethod),
    "pickup_sla": get_args(PickupSla),
}
FIELDS = (
    ("row", ">i4"),
    ("product", ">i8"),
    ("store", ">i8"),
    ("price", ">i8"),
    ("sale", ">i8"),
    ("sale_from", ">i8"),
    ("sale_until", ">i8"),
    ("quantity", ">i4"),
    ("availability", ">i2"),
    ("pickup_method", ">i2"),
    ("pickup_sla", ">i2"),
)
# How many fields, then each with its length before it.
ROW = np.dtype(
    [
        ("n", ">i2"),
        *((f"{prefix}{name}", kind) for name, size in FIELDS for prefix, kind in (("#", ">i4"), ("", size))),
    ]
)
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL = b"\xff\xff"


def micros(at: datetime | None) -> int:
    """Microseconds since 2000, as PostgreSQL counts."""
    return NO_TIME if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def place(name: str, word: str | None) -> int:
    """Of a word among those of its column; NONE for none."""
    return NONE if word is None else WORDS[name].index(word)


def empty(n: int) -> npt.NDArray[np.void]:
    """Rows to be filled."""
    return np.zeros(n, ROW)


def with_lengths(rows: npt.NDArray[np.void]) -> None:
    """Write what stands before the fields of filled rows."""
    rows["n"] = len(FIELDS)
    for name, kind in FIELDS:
        rows[f"#{name}"] = np.dtype(kind).itemsize
