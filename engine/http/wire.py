"""Checked primitives of the wire types: their ranges are the API's and the OpenAPI document's."""

from __future__ import annotations

import datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Code = Annotated[
    str,
    Meta(min_length=1, max_length=128, pattern=r"^[^/\x00-\x1f\x7f]+$", description="Your own id, without slashes."),
]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Minor = Annotated[int, Meta(ge=0, le=10**15, description="Money in minor units (cents).")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code.")]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166 alpha-2 code.")]
Zone = Annotated[str, Meta(min_length=1, max_length=64, description="IANA time zone, such as Europe/Helsinki.")]
Lat = Annotated[float, Meta(ge=-90, le=90, description="Degrees, WGS 84.")]
Lng = Annotated[float, Meta(ge=-180, le=180, description="Degrees, WGS 84.")]
Instant = Annotated[datetime.datetime, Meta(tz=True, description="RFC 3339 with an offset.")]

ZONES = frozenset(available_timezones())
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EARLIEST_MS = -62_135_596_800_000
_LATEST_MS = 253_402_300_799_000


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of a list: `limit` items after `cursor`, which is taken from the `next` link."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=64)] | None = None
    retailer: Number | None = None


class OfRetailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of a call on one retailer's things; a retailer's own keys need not name it."""

    retailer: Number | None = None


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query without parameters."""


class Refusal(msgspec.Struct, frozen=True):
    """One row of a batch that was not accepted; row 1 is the first."""

    row: int
    code: str


class Accepted(msgspec.Struct, frozen=True):
    """How much of a batch was accepted, and why the rest was not."""

    accepted: int
    refused: list[Refusal] = []


def to_ms(moment: datetime.datetime) -> int:
    """Epoch milliseconds of an aware datetime."""
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def from_ms(at_ms: int) -> datetime.datetime:
    """Aware datetime of epoch milliseconds, held within the years 1 to 9999."""
    held = min(max(at_ms, _EARLIEST_MS), _LATEST_MS)
    return _EPOCH + datetime.timedelta(milliseconds=held)


def raw(text: str | None) -> Any:
    """A JSON column read as text, passed through to the answer unparsed."""
    return msgspec.Raw(text) if text is not None else None
