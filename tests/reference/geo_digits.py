"""Slow obvious twin: an H3 index's digits turned one by one."""

from __future__ import annotations

COUNTERCLOCKWISE = {0: 0, 1: 5, 5: 4, 4: 6, 6: 2, 2: 3, 3: 1}
"""H3's digits as seen from their parent's centre (h3geo.org, "Coordinate systems")."""


def turned_one_by_one(digits: int, sixths: int) -> int:
    """Packed octal digits, each turned counterclockwise by so many sixths."""
    for _ in range(sixths):
        digits = int("".join(str(COUNTERCLOCKWISE[int(digit)]) for digit in f"{digits:o}"), 8)
    return digits
