"""All that is wrong with a campaign at once: its shape again, and what only its parts together can tell."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from offers.campaign import Bought, Campaign, Delivery, Offer, SearchTerms
from offers.catalogue import fold
from offers.errors import InvalidHours
from offers.grounds import why_not_drawn
from offers.parse import Problem, shape_problems
from offers.recurrence import check as check_recurrence

__all__ = ["Named", "Problem", "content_problems", "problems"]

FIRST_YEAR = 2000
LAST_YEAR = 2100
# A list of ten thousand wrong codes is one mistake; the first hundred show it.
MOST_UNKNOWN = 100

_KNOWN_BY = {"tag": "name", "city": "name"}

_BLANK = re.compile(r'"\s+"')

Found = Iterator[tuple[str, str, str]]
"""Column, code, sentence."""


@dataclass(frozen=True)
class Named:
    """What else of its own a retailer may name in a campaign."""

    areas: Collection[str] = ()
    """Codes."""
    tags: Collection[str] = ()
    """Folded (`catalogue.fold`), as the cities."""
    cities: Collection[str] = ()


NOTHING = Named()


def problems(
    campaign: Campaign,
    stores: Mapping[str, int],
    products: Mapping[str, int],
    now_ms: int,
    row: int | None = None,
    named: Named = NOTHING,
) -> list[Problem]:
    """Everything to fix before *campaign* may be stored, in a fixed order; empty if it may.

    *stores* and *products* map the retailer's own codes to ids; they need to hold only the codes that the campaign
    names, but *stores* must not be empty if the retailer has any. *row* is given back in each problem.
    """
    shape = shape_problems(msgspec.to_builtins(campaign), row)
    return shape + [Problem(row, *one) for one in content_problems(campaign, stores, products, now_ms, named)]


def content_problems(
    campaign: Campaign, stores: Mapping[str, int], products: Mapping[str, int], now_ms: int, named: Named
) -> list[tuple[str, str, str]]:
    """[(column, code, sentence)]: the same of a campaign whose shape was checked when it was decoded."""
    found = [*_all_texts(campaign), *_stores(campaign, stores)]
    if campaign.areas:
        found += _areas(campaign, stores)
    if campaign.drawn or campaign.tags or campaign.cities:
        found += _places(campaign, named)
    if campaign.schedule.recurrences:
        found += _recurrences(campaign)
    found += _trigger(campaign)
    found += _dates(campaign, now_ms)
    if campaign.audience.bought is not None:
        found += _audience(campaign.audience.bought, products)
    found += _offer(campaign.offer, products)
    if campaign.search is not None:
        found += _search(campaign.search, products)
    return found


def _all_texts(campaign: Campaign) -> Found:
    """Most campaigns hold nothing odd, which their JSON tells as a whole: escapes stand for control characters and
    quotes, and spaces alone between quotes are a blank text."""
    try:
        text = msgspec.json.encode(campaign).decode()
    except UnicodeEncodeError:  # half of a character
        text = ""
    if not text or "\\" in text or not text.isprintable() or _BLANK.search(text):
        yield from _texts(msgspec.to_builtins(campaign), "")


def _texts(value: object, path: str) -> Found:
    if isinstance(value, str):
        yield from _text(value, path)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _texts(item, f"{path}[{i}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{path}.{name}" if path else name)


def _text(text: str, path: str) -> Found:
    # Cc are the control characters, NUL among them, which PostgreSQL refuses; Cs are half of a character.
    allowed = "\n" if path == "creative.body" else ""
    if bad := sorted({ord(c) for c in text if c not in allowed and unicodedata.category(c) in ("Cc", "Cs")}):
        yield path, "control_character", f"The text holds the control character U+{bad[0]:04X}."
    if text and not text.strip() and path != "creative.body":
        yield path, "blank", "The text holds nothing but spaces."


def _stores(campaign: Campaign, stores: Mapping[str, int]) -> Found:
    if campaign.everywhere and not stores:
        yield "stores", "no_stores", "The campaign is for every store, but there is none yet: upload stores first."
    if not all(map(stores.__contains__, campaign.stores)):
        yield from _unknown("stores", "store", campaign.stores, stores)


def _areas(campaign: Campaign, stores: Mapping[str, int]) -> Found:
    yield from _unknown("areas", "store", [area.store for area in campaign.areas], stores)
    seen: set[str] = set()
    for i, area in enumerate(campaign.areas):
        if campaign.stores and area.store not in campaign.stores and not (campaign.tags or campaign.cities):
            yield f"areas[{i}].store", "not_its_store", f"The campaign is not for the store {area.store!r}."
        if area.store in seen:
            yield f"areas[{i}].store", "repeated", f"Another area is drawn for the store {area.store!r}."
        seen.add(area.store)
        if (why := why_not_drawn(area.geometry)) is not None:
            yield f"areas[{i}].geometry", "geometry", why


def _places(campaign: Campaign, named: Named) -> Found:
    yield from _unknown("drawn", "area", campaign.drawn, named.areas)
    yield from _unknown("tags", "tag", [fold(tag) for tag in campaign.tags], named.tags)
    yield from _unknown("cities", "city", [fold(city) for city in campaign.cities], named.cities)


def _recurrences(campaign: Campaign) -> Found:
    for i, one in enumerate(campaign.schedule.recurrences):
        try:
            check_recurrence(one)
        except InvalidHours as error:
            yield f"schedule.recurrences[{i}].rrule", "recurrence", f"{error}."


def _unknown(column: str, noun: str, codes: Iterable[str], known: Collection[str]) -> Found:
    missing = [(i, code) for i, code in enumerate(codes) if code not in known]
    for i, code in missing[:MOST_UNKNOWN]:
        yield (
            f"{column}[{i}]",
            f"unknown_{noun}",
            f"There is no {noun} with the {_KNOWN_BY.get(noun, 'code')} {code!r}.",
        )
    if len(missing) > MOST_UNKNOWN:
        yield column, f"unknown_{noun}", f"{len(missing) - MOST_UNKNOWN} more codes name no {noun}."


def _trigger(campaign: Campaign) -> Found:
    if campaign.trigger == "dwell" and campaign.dwell_s < 1:
        yield "dwell_s", "missing", "A dwell campaign says after how many seconds it answers."
    if campaign.trigger != "dwell" and campaign.dwell_s:
        yield "dwell_s", "not_applicable", f"A campaign triggered by {campaign.trigger} does not wait for a dwell."
    if campaign.trigger == "approach" and campaign.eta_minutes < 1:
        yield "eta_minutes", "missing", "An approach campaign says how many minutes before the arrival it answers."
    if campaign.trigger != "approach" and campaign.eta_minutes:
        sentence = f"A campaign triggered by {campaign.trigger} does not wait for an approach."
        yield "eta_minutes", "not_applicable", sentence
    if campaign.trigger == "search" and campaign.search is None:
        yield "search", "missing", "A search campaign names the products, brands or categories it answers."
    if campaign.trigger != "search" and campaign.search is not None:
        yield "search", "not_applicable", f"A campaign triggered by {campaign.trigger} does not answer searches."
    if campaign.trigger == "start":
        yield from _start(campaign)
    if campaign.trigger != "start" and campaign.delivery != Delivery():
        yield "delivery", "not_applicable", f"A campaign triggered by {campaign.trigger} is sent when it is triggered."


def _start(campaign: Campaign) -> Found:
    delivery = campaign.delivery
    if delivery.inside:
        for column, given in (("local_time", delivery.local_time), ("rate_per_s", delivery.rate_per_s)):
            if given is not None:
                sentence = "Who is inside at the start is told at once: leave out delivery.inside, or this."
                yield f"delivery.{column}", "not_applicable", sentence
    else:
        for column, shapes in (("areas", campaign.areas), ("drawn", campaign.drawn)):
            if shapes:
                sentence = "A campaign triggered by start goes to its audience wherever they are: see delivery.inside."
                yield column, "not_applicable", sentence
    weekly, recurrences = bool(campaign.schedule.weekly), bool(campaign.schedule.recurrences)
    for column, given in (("weekly", weekly), ("recurrences", recurrences)):
        if given:
            sentence = "A campaign triggered by start goes out once: give delivery.local_time."
            yield f"schedule.{column}", "not_applicable", sentence


def _dates(campaign: Campaign, now_ms: int) -> Found:
    dates = {"starts_at": campaign.starts_at, "ends_at": campaign.ends_at}
    if any(date.tzinfo is None for date in dates.values()):
        return  # the shape's problem
    for column, date in dates.items():
        if not FIRST_YEAR <= date.year < LAST_YEAR:
            yield column, "out_of_range", f"The year {date.year} is not in {FIRST_YEAR}..{LAST_YEAR - 1}."
    if campaign.ends_at <= campaign.starts_at:
        yield "ends_at", "ends_before_start", "The campaign ends before it starts."
    elif campaign.ends_at <= datetime.fromtimestamp(now_ms / 1000, UTC):
        yield "ends_at", "ended", "The campaign has already ended."


def _audience(bought: Bought, products: Mapping[str, int]) -> Found:
    yield from _unknown("audience.bought.products", "product", bought.products, products)
    if not (bought.products or bought.brands or bought.categories):
        yield "audience.bought", "missing", "An audience that bought names a product, a brand or a category."


def _search(search: SearchTerms, products: Mapping[str, int]) -> Found:
    yield from _unknown("search.products", "product", search.products, products)
    if not (search.products or search.brands or search.categories):
        yield "search", "missing", "A search campaign names the products, brands or categories it answers."


def _offer(offer: Offer, products: Mapping[str, int]) -> Found:
    if offer.products:
        yield from _unknown("offer.products", "product", offer.products, products)
    needed, other = ("percent", "amount_minor") if offer.kind == "percent_off" else ("amount_minor", "percent")
    if getattr(offer, needed) is None:
        yield f"offer.{needed}", "missing", f"An offer of the kind {offer.kind} needs {needed}."
    if getattr(offer, other) is not None:
        yield f"offer.{other}", "not_applicable", f"An offer of the kind {offer.kind} has no {other}."
