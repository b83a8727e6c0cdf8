"""Opening hours in OSM syntax, by the library `opening_hours`; the only file that imports it.

The library is asked for naive wall times, and `offers.schedule` turns those into instants: asked with a zone, it
answers the two odd nights of a year by other rules than our schedules (it moves skipped hours to the first valid
one), and its instants would need its own zone database.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import opening_hours
from opening_hours import OpeningHours, State

from offers.errors import InvalidHours
from offers.intervals import Interval, merged
from offers.schedule import EPOCH, spans, to_instants, wall_ms, zone_of

# The library raises these two and its stubs do not know them.
_ParserError: type[Exception] = getattr(opening_hours, "ParserError")  # noqa: B009 - see above
_UnknownCountryError: type[Exception] = getattr(opening_hours, "UnknownCountryError")  # noqa: B009 - see above

# OSM allows 255 characters; some retailers list every holiday. Parsing 1,000 characters takes under a millisecond.
MOST_CHARACTERS = 1_000
# Changes of state that one horizon may have: opening every other minute of ten days stays below it.
MOST_CHANGES = 20_000


def check(spec: str) -> None:
    """Raise `InvalidHours` with a sentence unless *spec* is OSM opening_hours of at most 1,000 characters."""
    _parse(spec, None)


def open_intervals(spec: str, zone: str, country: str | None, from_ms: int, until_ms: int) -> list[Interval]:
    """[(start_ms, end_ms)], merged: when a store with hours *spec* is surely open within the horizon.

    *zone* is an IANA name; *country* an ISO code for public holidays, None or one the library does not know: no
    holidays. "unknown" hours count as closed. Without a position the sun rises at 7 and sets at 19. Raises
    `InvalidHours`.
    """
    hours = _parse(spec, country)
    cut = spans(zone_of(zone), from_ms, until_ms)
    if not cut:
        return []
    # A wall clock may be set back within the horizon: take its earliest and latest reading.
    first = min(start + offset for start, _, offset in cut)
    last = max(end + offset for _, end, offset in cut)
    wall = merged(_open(hours, first, last))
    return to_instants(wall, cut)


def _open(hours: OpeningHours, first_ms: int, last_ms: int) -> Iterator[Interval]:
    # The library counts whole minutes; ask for the minute before and after, then `to_instants` cuts.
    start = EPOCH + timedelta(milliseconds=first_ms - first_ms % 60_000)
    end = EPOCH + timedelta(milliseconds=last_ms + 60_000)
    for changes, (since, until, state, _) in enumerate(islice(hours.intervals(start, end), MOST_CHANGES + 1)):
        if changes == MOST_CHANGES:
            raise InvalidHours(f"the opening hours change more than {MOST_CHANGES} times in ten days")
        if state == State.OPEN:
            yield wall_ms(_naive(since)), wall_ms(_naive(until))


def _naive(local: datetime) -> datetime:
    assert local.tzinfo is None
    return local


def _parse(spec: str, country: str | None) -> OpeningHours:
    if len(spec) > MOST_CHARACTERS:
        raise InvalidHours(f"opening hours of {len(spec)} characters; at most {MOST_CHARACTERS} are read")
    known = country.upper() if country else None
    try:
        return OpeningHours(spec, country=known, auto_country=False, auto_timezone=False)
    except _UnknownCountryError:
        return _parse(spec, None)
    except _ParserError as error:
        raise InvalidHours(f"opening hours {spec!r} are not OSM syntax{_where(str(error))}") from error


def _where(message: str) -> str:
    """' at character N', from the parser's ' --> line:column'."""
    _, arrow, rest = message.partition("--> ")
    column = rest.split("\n")[0].partition(":")[2]
    return f" at character {column}" if arrow and column.isdigit() else ""
