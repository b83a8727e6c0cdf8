"""What campaigns name: rows of a search's, an audience's and an offer's products, brands and categories.

A row lies in one array of keys: three words that tell where its nine lists end (three a word, 21 bits each, counted
from behind the words), then the lists, each ascending: products, brands and categories of the search, of the audience,
of what the offer covers.
"""

from __future__ import annotations

from typing import Final

from geo.arrays import Longs
from geo.kernels import fetch, inlined, kernel
from offers.kernels.records import NONE, Asked

SEARCH: Final = 0
AUDIENCE: Final = 1
COVERED: Final = 2
WORDS: Final = 3
END_BITS: Final = 21
_END: Final = (1 << END_BITS) - 1
_FEW: Final = 8
"""As many are looked through one by one."""
_LINE: Final = 8
"""Keys in a line of the processor's cache."""


@inlined
def end_of(wanted: Longs, row: int, group: int, which: int) -> int:
    """Where list *which* of a group ends, in the array."""
    return row + WORDS + (int(wanted[row + group]) >> (END_BITS * which) & _END)


@inlined
def start_of(wanted: Longs, row: int, group: int, which: int) -> int:
    """Where it begins."""
    if which:
        return end_of(wanted, row, group, which - 1)
    return end_of(wanted, row, group - 1, WORDS - 1) if group else row + WORDS


@inlined
def expect_row(wanted: Longs, row: int) -> None:
    """The row will be asked for soon."""
    if row != NONE:
        fetch(wanted, row)
        fetch(wanted, row + _LINE)


@kernel
def among(keys: Longs, first: int, end: int, key: int) -> bool:
    """Whether *key* is one of keys[first:end], which ascend."""
    while end - first > _FEW:
        middle = (first + end) >> 1
        if keys[middle] <= key:
            first = middle
        else:
            end = middle
    found = False
    for at in range(first, end):
        found = found or keys[at] == key
    return found


@kernel
def answers(wanted: Longs, row: int, asked: Asked, search: int) -> bool:
    """Whether the campaign's own search terms have anything in common with the search's."""
    if row < 0 or search < 0:
        return False
    for which in range(3):
        first, end = start_of(wanted, row, SEARCH, which), end_of(wanted, row, SEARCH, which)
        if end > first:
            for k in range(asked.search_ptr[search * 3 + which], asked.search_ptr[search * 3 + which + 1]):
                if among(wanted, first, end, asked.search_key[k]):
                    return True
    return False
