"""OSM opening hours as instants."""

from __future__ import annotations

import pytest

from offers.errors import InvalidHours
from offers.hours import MOST_CHARACTERS, check, open_intervals
from tests.reference.offers_world import DAY_MS, ms, utc

ZONE = "Europe/Helsinki"


def shown(spec: str, day: str, country: str | None = "FI", zone: str = ZONE) -> list[str]:
    """Open intervals of the UTC day, as text."""
    found = open_intervals(spec, zone, country, ms(f"{day}T00:00:00Z"), ms(f"{day}T00:00:00Z") + DAY_MS)
    return [f"{utc(a):%d %H:%M} {utc(b):%d %H:%M}" for a, b in found]


def test_a_shop_of_the_city_on_a_saturday_in_winter_and_in_summer() -> None:
    spec = "Mo-Fr 09:00-21:00; Sa 09:00-18:00; Su 12:00-18:00"
    assert shown(spec, "2026-11-21") == ["21 07:00 21 16:00"]
    assert shown(spec, "2026-07-18") == ["18 06:00 18 15:00"]


def test_a_bar_open_past_midnight() -> None:
    assert shown("Mo-Su 21:00-04:00", "2026-11-21") == ["21 00:00 21 02:00", "21 19:00 22 00:00"]


def test_the_odd_nights_follow_the_clock_on_the_wall() -> None:
    assert shown("02:30-03:30", "2026-03-29") == ["29 00:30 29 01:00", "29 23:30 30 00:00"]
    assert shown("03:15-03:45", "2026-10-25") == ["25 00:15 25 00:45", "25 01:15 25 01:45"]


def test_public_holidays_are_those_of_the_country() -> None:
    spec = "Mo-Su 10:00-18:00; PH off"
    assert shown(spec, "2026-12-06", "FI") == []  # Independence Day
    assert shown(spec, "2026-12-06", "SE") == ["06 08:00 06 16:00"]
    assert shown(spec, "2026-12-06", None) == ["06 08:00 06 16:00"]
    assert shown(spec, "2026-12-06", "ZZ") == ["06 08:00 06 16:00"]
    assert shown(spec, "2026-12-06", "fi") == []


def test_always_open_fills_the_horizon_and_unknown_hours_do_not_count_as_open() -> None:
    assert open_intervals("24/7", ZONE, None, 5, 5 * DAY_MS) == [(5, 5 * DAY_MS)]
    assert shown("24/7 unknown", "2026-11-21") == []
    assert open_intervals("24/7", ZONE, None, 7, 7) == []


def test_the_many_changes_of_a_silly_spec_are_all_seen() -> None:
    every_other_minute = ",".join(f"10:{m:02}-10:{m + 1:02}" for m in range(0, 58, 2))
    assert len(shown(every_other_minute, "2026-11-21")) == 29


@pytest.mark.parametrize("spec", ["", " ", "around noon", "Mo-Fr 25:00-26:00", "Mo\x00", "((((10:00", "Mo-Fr 10:00-"])
def test_what_is_not_osm_syntax_is_refused_with_a_place(spec: str) -> None:
    with pytest.raises(InvalidHours, match=r"OSM syntax at character [0-9]+"):
        check(spec)


def test_too_long_a_text_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidHours, match="at most 1000"):
        check("Mo 10:00-11:00; " * MOST_CHARACTERS)


def test_good_hours_pass_and_a_bad_zone_is_named() -> None:
    check("Mo-Fr 09:00-21:00; Sa 09:00-18:00; PH off")
    with pytest.raises(InvalidHours, match="IANA"):
        open_intervals("24/7", "Mars/Olympus", None, 0, 1)
