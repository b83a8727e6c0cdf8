"""What a decision asks of all campaigns, as arrays: a line of memory each, and the lists some of them have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.arrays import Flags, Longs, Records, frozen, in_lines
from offers.kernels.records import CAMPAIGN, NONE, WANTED_LISTS, Flag, Kind
from offers.live import LiveCampaign, Wanted
from offers.words import word_keys

_KINDS = {"enter": Kind.ENTER, "dwell": Kind.DWELL, "search": Kind.SEARCH}
_NOTHING = Wanted()


class CampaignTable:
    """`rows` CAMPAIGN[C], ascending by id; `wanted_ptr` i8[9 W + 1] and `wanted_key` i8[K]: `WANTED_LISTS` ascending
    lists a row of wanted things. Read-only."""

    __slots__ = ("rows", "wanted_key", "wanted_ptr")

    def __init__(self, rows: Records, wanted_ptr: Longs, wanted_key: Longs) -> None:
        self.rows = in_lines(rows, CAMPAIGN)
        self.wanted_ptr = frozen(wanted_ptr, np.int64)
        self.wanted_key = frozen(wanted_key, np.int64)

    @classmethod
    def of(cls, campaigns: Sequence[LiveCampaign]) -> CampaignTable:
        """The table of these, in their order."""
        lists: list[list[int]] = []
        rows = [_row(campaign, lists) for campaign in campaigns]
        ptr = list(accumulate(map(len, lists), initial=0))
        keys = [key for some in lists for key in some]
        return cls(np.array(rows, CAMPAIGN), np.array(ptr, np.int64), np.array(keys, np.int64))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> CampaignTable:
        """Inverse of `arrays`."""
        return cls(arrays["rows"].reshape(-1).view(CAMPAIGN), arrays["wanted_ptr"], arrays["wanted_key"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Name → array, for the codec; `rows` as u1[C, 64]."""
        rows = self.rows.view(np.uint8).reshape(-1, CAMPAIGN.itemsize)
        return {"rows": rows, "wanted_ptr": self.wanted_ptr, "wanted_key": self.wanted_key}

    def changed(self, stays: Flags, more: Sequence[LiveCampaign]) -> CampaignTable:
        """bool[C]: the rows that stay, and *more*, in ascending id. The lists of the others are left where they are."""
        new = CampaignTable.of(more)
        coming = new.rows.copy()
        coming["wanted"][coming["wanted"] != NONE] += (len(self.wanted_ptr) - 1) // WANTED_LISTS
        rows = np.concatenate([self.rows[stays], coming])
        return CampaignTable(
            rows[np.argsort(rows["id"], kind="stable")],
            np.concatenate([self.wanted_ptr, self.wanted_ptr[-1] + new.wanted_ptr[1:]]),
            np.concatenate([self.wanted_key, new.wanted_key]),
        )


def _row(campaign: LiveCampaign, lists: list[list[int]]) -> tuple[int, ...]:
    """CAMPAIGN; its lists are added to *lists*."""
    audience, wanted = campaign.audience, NONE
    parts = (campaign.search, audience.wanted if audience else _NOTHING, campaign.covered)
    if any(parts):
        wanted = len(lists) // WANTED_LISTS
        lists += [some for part in parts for some in _lists(part)]
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
        campaign.dwell_s if campaign.trigger == "dwell" else 0,
        wanted,
        campaign.priority,
        _KINDS[campaign.trigger],
        open_only | (Flag.AUDIENCE if audience else 0),
    )


def _lists(part: Wanted) -> Iterable[list[int]]:
    return sorted(part.products), word_keys(part.brands), word_keys(part.categories)
