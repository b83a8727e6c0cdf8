"""Brands and categories as numbers, for arrays: a key is the same in every process and snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=100_000)
def word_key(folded: str) -> int:
    """A key in [1, 2**63) for a word as `catalogue.fold` gives it: BLAKE2b.

    Of a million different words two share a key once in twenty million catalogues.
    """
    return (int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest(), "little") >> 1) or 1


def word_keys(folded: Iterable[str]) -> list[int]:
    """The keys, ascending, each once."""
    return sorted(set(map(word_key, folded)))
