"""RFC 5545 recurrences on a wall clock: what they cover, and which are refused because they never come true."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from offers.campaign import Recurrence, Schedule
from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot
from offers.errors import InvalidHours
from offers.intervals import IntervalTable, covers
from offers.recurrence import check, wall_intervals
from offers.schedule import EPOCH, wall_ms
from tests.reference.offers_world import NOW_MS, campaign, ms, store


def rule(text: str, start: str = "2026-11-07T10:00", duration_s: int = 7_200) -> Recurrence:
    return Recurrence(rrule=text, start=start, duration_s=duration_s)


def days(one: Recurrence, first: str = "2026-11-01", last: str = "2027-03-01") -> list[str]:
    spans = wall_intervals([one], wall_ms(datetime.fromisoformat(first)), wall_ms(datetime.fromisoformat(last)))
    return [(EPOCH + timedelta(milliseconds=start)).isoformat()[:16] for start, _ in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=1SA", ["2026-11-07", "2026-12-05", "2027-01-02", "2027-02-06"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=1SA;COUNT=2", ["2026-11-07", "2026-12-05"]),
        ("FREQ=WEEKLY;BYDAY=SA;UNTIL=20261121T235959Z", ["2026-11-07", "2026-11-14", "2026-11-21"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["2026-11-13", "2027-02-13"][:1]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2", ["2026-11-30", "2026-12-31"]),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", ["2026-12-24"]),
        ("FREQ=DAILY;INTERVAL=30", ["2026-11-07", "2026-12-07", "2027-01-06", "2027-02-05"]),
    ],
)
def test_when_they_come(text: str, expected: list[str]) -> None:
    assert [day[:10] for day in days(rule(text))] == expected


def test_hours_of_a_day_and_one_that_began_before_the_horizon() -> None:
    one = rule("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30;COUNT=4")
    assert days(one) == ["2026-11-07T17:30", "2026-11-08T09:30", "2026-11-08T17:30", "2026-11-09T09:30"]
    long = rule("FREQ=DAILY;COUNT=1", duration_s=86_400)
    assert days(long, first="2026-11-08") == ["2026-11-07T10:00"]


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "FREQ=HOURLY", "FREQ=SECONDLY;COUNT=3", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=99999999999", "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z",
        "FREQ=DAILY;FREQ=DAILY", "FREQ=MONTHLY;BYDAY=XX", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYEASTER=0", "FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE=0,30",
        # These never come true, and would be looked for until the year 9999.
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2", "FREQ=MONTHLY;BYDAY=1FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=9", "FREQ=WEEKLY;INTERVAL=52;BYMONTH=2",
    ],
)  # fmt: skip
def test_what_is_no_recurrence_is_refused_at_once(text: str) -> None:
    began_s = time.perf_counter()
    with pytest.raises(InvalidHours):
        check(rule(text or "x"))
    assert time.perf_counter() - began_s < 0.1


def runs(table: IntervalTable, row: int, at_ms: int) -> bool:
    some = slice(*table.ptr[row : row + 2].tolist())
    return covers(table.starts[some].tolist(), table.ends[some].tolist(), at_ms)


def test_a_campaign_runs_in_its_windows_and_its_recurrences() -> None:
    weekly = [{"days": ["mon"], "start": "08:00", "end": "09:00"}]
    again = [{"rrule": "FREQ=DAILY;COUNT=1", "start": "2026-11-21T12:30", "duration_s": 3600}]
    spec = campaign(schedule={"weekly": weekly, "recurrences": again, "only_while_open": False})
    found = compile_snapshot(Catalogue([store()], [], [CampaignRow(1, 1, spec)]), NOW_MS)
    row = int(found.postings.schedule[0])
    found_at = {text: runs(found.schedules, row, ms(text)) for text in (
        "2026-11-21T10:29:59+00:00", "2026-11-21T10:30:00+00:00", "2026-11-21T11:30:00+00:00",
        "2026-11-23T06:30:00+00:00", "2026-11-23T07:00:00+00:00",
    )}  # fmt: skip
    assert list(found_at.values()) == [False, True, False, True, False]
    assert Schedule().recurrences == []
