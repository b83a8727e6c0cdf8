"""A campaign as a retailer uploads it: wire type, stored spec and OpenAPI schema in one.

Ranges stand in `msgspec.Meta`, so the description a retailer reads and the check that refuses are one text.
What one field alone cannot tell (a dwell campaign without a dwell time, an unknown store) is `offers.validate`'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

DAY_MS = 86_400_000

# What PostgreSQL's integer and the longest kept decision allow.
MOST_COUPONS = 2_147_483_647
MOST_DAYS = 365
MOST_ETA_MIN = 120
MOST_STORES = 1_000
MOST_AREAS = 100
MOST_MINOR = 1_000_000_000_000

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Trigger = Literal["enter", "dwell", "exit", "approach", "search", "start"]
"""`exit`: who leaves, not who falls silent there. `approach`: who, going on like this, is there within `eta_minutes`.
`start`: when it becomes live, to everybody in its audience, wherever they are; or only to who is inside."""

Code = Annotated[str, Meta(min_length=1, max_length=128, description="the retailer's own code")]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
Codes = Annotated[list[Code], Meta(max_length=10_000)]
Words = Annotated[list[Word], Meta(max_length=1_000)]
StartClock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:00"])]
EndClock = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", examples=["17:30"])]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]


class Window(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours of some weekdays on the wall clock of the store; an end at or before the start is on the next day."""

    days: Annotated[list[Weekday], Meta(min_length=1, max_length=7)]
    start: StartClock
    end: EndClock


class Recurrence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times that come again, on the wall clock of the store: an RFC 5545 RRULE from its first start on."""

    rrule: Annotated[str, Meta(min_length=1, max_length=500, examples=["FREQ=MONTHLY;BYDAY=1SA"])]
    start: Annotated[
        str,
        Meta(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]$", examples=["2026-01-03T10:00"]),
    ]
    duration_s: Annotated[int, Meta(ge=60, le=7 * 86_400)]


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When within its dates a campaign runs, in each store's own zone: in any of the windows or recurrences; at any
    hour where there is neither."""

    weekly: Annotated[list[Window], Meta(max_length=50)] = []
    recurrences: Annotated[list[Recurrence], Meta(max_length=20)] = []
    only_while_open: bool = True


class Bought(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who bought any of these lately. Brand and category match in any case of letters."""

    products: Codes = []
    brands: Words = []
    categories: Words = []
    within_days: Annotated[int, Meta(ge=1, le=MOST_DAYS)]


class Audience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom the campaign may reach, beyond consent; empty means everybody."""

    bought: Bought | None = None


class Cap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most *coupons* to one customer in any *per_days* times 24 hours."""

    coupons: Annotated[int, Meta(ge=1, le=1_000)]
    per_days: Annotated[int, Meta(ge=1, le=MOST_DAYS)]


class Offer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The promise. Amounts are in minor units of the retailer's currency."""

    kind: Literal["percent_off", "money_off"]
    percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    amount_minor: Annotated[int, Meta(ge=1, le=MOST_MINOR)] | None = None
    products: Codes = []
    brands: Words = []
    categories: Words = []
    minimum_purchase_minor: Annotated[int, Meta(ge=0, le=MOST_MINOR)] = 0
    valid_for_s: Annotated[int, Meta(ge=60, le=MOST_DAYS * 86_400)]


class Creative(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the customer reads."""

    title: Annotated[str, Meta(min_length=1, max_length=120)]
    body: Annotated[str, Meta(max_length=400)]


class Delivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a campaign with trigger start is sent out."""

    local_time: StartClock | None = None
    """The hour on each person's own clock; without one it goes out at once. Whoever has no zone is left out."""
    rate_per_s: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    """Pushes a second at most, over all senders."""
    inside: Annotated[bool, Meta(description="only to who is in the surroundings of its stores at the start")] = False


class SearchTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Searches a search campaign answers: for its own products, or for any brand or category named."""

    products: Codes = []
    brands: Words = []
    categories: Words = []


class Area(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Drawn surroundings of a store, for this campaign in place of the circle."""

    store: Code
    geometry: Annotated[
        dict[str, Any],
        Meta(description="GeoJSON Polygon or MultiPolygon (RFC 7946): positions are [longitude, latitude]"),
    ]


class Campaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One campaign, as uploaded and as stored. Its stores are those of the codes, tags, cities and drawn areas
    together; every store where it names none."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    trigger: Trigger
    stores: Annotated[list[Code], Meta(max_length=MOST_STORES, description="by code")] = []
    tags: Annotated[list[Word], Meta(max_length=100, description="stores with any of these tags")] = []
    cities: Annotated[list[Word], Meta(max_length=1_000, description="stores in any of these cities")] = []
    drawn: Annotated[list[Code], Meta(max_length=MOST_AREAS, description="areas uploaded before, by code")] = []
    radius_m: Annotated[float, Meta(ge=10, le=5_000)]
    areas: Annotated[list[Area], Meta(max_length=MOST_AREAS, description="one a store at most")] = []
    dwell_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    eta_minutes: Annotated[int, Meta(ge=0, le=MOST_ETA_MIN, description="of trigger approach: minutes away")] = 0
    starts_at: Instant
    ends_at: Instant
    schedule: Schedule = Schedule()
    audience: Audience = Audience()
    cap: Cap
    budget_coupons: Annotated[int, Meta(ge=1, le=MOST_COUPONS)]
    priority: Annotated[int, Meta(ge=-1_000, le=1_000)] = 0
    offer: Offer
    creative: Creative
    search: SearchTerms | None = None
    own_codes: Annotated[bool, Meta(description="gives the codes uploaded for it in place of ours")] = False
    delivery: Delivery = Delivery()

    @property
    def everywhere(self) -> bool:
        """Whether it names no store, in any way: then it is for all of them."""
        return not (self.stores or self.tags or self.cities or self.drawn)
