"""The demo's clock: the latest Saturday at eleven in Helsinki, in winter and in summer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.demo.opening import opening_ms, opening_offset_ms


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-22T02:00:00+02:00", "2026-11-21T11:00:00+02:00"),  # Sunday night: yesterday
        ("2026-11-21T11:00:00+02:00", "2026-11-21T11:00:00+02:00"),  # on the stroke
        ("2026-11-21T10:59:59+02:00", "2026-11-14T11:00:00+02:00"),  # a second before: a week ago
        (
            "2026-11-20T23:30:00+00:00",
            "2026-11-14T11:00:00+02:00",
        ),  # already Saturday in Helsinki, not yet eleven
        ("2026-07-15T12:00:00+03:00", "2026-07-11T11:00:00+03:00"),  # summer time
        ("2026-03-30T12:00:00+03:00", "2026-03-28T11:00:00+02:00"),  # summer time began on the Sunday between
    ],
)
def test_known_moments(now: str, opens: str) -> None:
    assert opening_ms(ms(now)) == ms(opens)
    assert opening_offset_ms(ms(now)) == ms(opens) - ms(now)


def test_every_hour_of_a_year_leads_back_less_than_eight_days() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    offsets = [opening_offset_ms(int((start + timedelta(hours=n)).timestamp() * 1_000)) for n in range(0, 365 * 24, 5)]
    assert max(offsets) <= 0 and min(offsets) > -timedelta(days=7, hours=2) / timedelta(milliseconds=1)
