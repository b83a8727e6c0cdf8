"""What a decision asks of all campaigns, as arrays: a line of memory each, and the lists some of them have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.arrays import Flags, Longs, Records, frozen, in_lines
from offers.kernels.records import CAMPAIGN, NONE, Flag, Kind
from offers.kernels.wanted import END_BITS, WORDS
from offers.live import LiveCampaign, Wanted
from offers.words import word_keys

_NOTHING = Wanted()


class CampaignTable:
    """`rows` CAMPAIGN[C], ascending by id; `wanted` i8[K], as `offers.kernels.wanted` reads it. Read-only."""

    __slots__ = ("rows", "wanted")

    def __init__(self, rows: Records, wanted: Longs) -> None:
        self.rows = in_lines(rows, CAMPAIGN)
        self.wanted = frozen(wanted, np.int64)

    @classmethod
    def of(cls, campaigns: Sequence[LiveCampaign]) -> CampaignTable:
        """The table of these, in their order."""
        wanted: list[int] = []
        rows = [_row(campaign, wanted) for campaign in campaigns]
        return cls(np.array(rows, CAMPAIGN), np.array(wanted, np.int64))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> CampaignTable:
        """Inverse of `arrays`."""
        return cls(arrays["rows"].reshape(-1).view(CAMPAIGN), arrays["wanted"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Name → array, for the codec; `rows` as u1[C, 64]."""
        return {"rows": self.rows.view(np.uint8).reshape(-1, CAMPAIGN.itemsize), "wanted": self.wanted}

    def changed(self, stays: Flags, more: Sequence[LiveCampaign]) -> CampaignTable:
        """bool[C]: the rows that stay, and *more*, in ascending id. The lists of the others are left where they are."""
        new = CampaignTable.of(more)
        coming = new.rows.copy()
        coming["wanted"][coming["wanted"] != NONE] += len(self.wanted)
        rows = np.concatenate([self.rows[stays], coming])
        return CampaignTable(rows[np.argsort(rows["id"], kind="stable")], np.concatenate([self.wanted, new.wanted]))


def _row(campaign: LiveCampaign, wanted: list[int]) -> tuple[int, ...]:
    """CAMPAIGN; what it names is added to *wanted*."""
    audience = campaign.audience
    parts = (campaign.search, audience.wanted if audience else _NOTHING, campaign.covered)
    place = len(wanted) if any(parts) else NONE
    if any(parts):
        wanted += _packed([keys for part in parts for keys in _lists(part)])
    open_only = Flag.OPEN if campaign.only_while_open else 0
    return (
        campaign.id,
        campaign.retailer,
        campaign.starts_ms,
        campaign.ends_ms,
        campaign.worth_minor,
        campaign.cap_ms // 1000,
        audience.within_ms // 1000 if audience else 0,
        campaign.cap_coupons,
        {"dwell": campaign.dwell_s, "approach": campaign.lead_s}.get(campaign.trigger, 0),
        place,
        campaign.priority,
        Kind[campaign.trigger.upper()],
        open_only | (Flag.AUDIENCE if audience else 0),
    )


def _lists(part: Wanted) -> Iterable[list[int]]:
    return sorted(part.products), word_keys(part.brands), word_keys(part.categories)


def _packed(lists: Sequence[list[int]]) -> list[int]:
    ends = list(accumulate(map(len, lists)))
    words = [sum(end << END_BITS * k for k, end in enumerate(ends[g : g + WORDS])) for g in range(0, len(ends), WORDS)]
    return words + [key for keys in lists for key in keys]
