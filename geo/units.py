"""Constants with units."""

from __future__ import annotations

from typing import Final

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius R1 = (2a + b) / 3 of WGS 84 (IUGG, Moritz 2000: 6,371,008.7714 m, to the decimetre)."""

MS_PER_S: Final = 1_000
MS_PER_MIN: Final = 60_000
AT_MS_END: Final = 1 << 53
"""Event times lie in [0, AT_MS_END) epoch milliseconds, so that no difference of two of them overflows."""
