"""Cells, fences, presence: geometry on arrays. Pure: no I/O, clock, randomness or logging (`kernels` reads
its own sources once).
"""

from __future__ import annotations


def warm() -> None:
    """Compile every kernel, or load it from the cache, so that no request waits for it. Seconds when cold."""
    from geo.warming import warm as compile_all  # noqa: PLC0415 - "import geo.errors" should not load numba

    compile_all()
