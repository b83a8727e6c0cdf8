"""A start campaign's walk through its audience: planned once, then issued a thousand coupons at a time.

Whoever walks holds one part by its row lock and commits step by step, so a walk that dies is taken up where it was; a
decision's id is a function of campaign and customer, so nobody is met twice.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog

from engine.log.keys import PARTITIONS
from engine.matcher.decision import derived
from engine.postgres import queries
from engine.sender.claim import MARKETING_INAPP
from offers import coupon
from offers.campaign import DAY_MS, Bought, Campaign
from offers.catalogue import ProductRow, fold
from offers.quiet import next_at

log = structlog.get_logger()

STEP = 1000
"""Coupons issued in one transaction, which is one chunk."""
AHEAD = 12
"""Chunks that may wait for the sending."""
AT_A_TIME = 50
"""Identities made before whatever else is due gets its turn: about a millisecond."""


class Recipient(NamedTuple):
    """A customer who may be reached."""

    number: int
    p: int
    consents: int


class _Identity(NamedTuple):
    """All that follows from a campaign and a customer. *inapp* is not read of whom nothing is shown in the app."""

    decision: UUID
    coupon: UUID
    code_hash: bytes
    push: UUID
    inapp: UUID


class Part(NamedTuple):
    """One part of a plan: a partition at once, or a zone at its own hour."""

    p: int | None
    zone: str | None
    due_ms: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Products of which one must have been bought: the retailer's own, and others' for who consented to that."""

    own: list[int]
    others: list[int]


def parts(minute: int | None, zones: Iterable[str], starts_ms: int, now_ms: int) -> list[Part]:
    """The plan: every partition now, or, with a *minute* of the day, every zone when its clocks next read it."""
    if minute is None:
        return [Part(p, None, now_ms) for p in range(PARTITIONS)]
    return [Part(None, zone, next_at(zone, minute, max(starts_ms, now_ms))) for zone in sorted(zones)]


def wanted(bought: Bought, retailer: int, products: Iterable[ProductRow]) -> Wanted:
    """The products that *bought* means; see `offers.live.LiveAudience` for the rule."""
    codes = set(bought.products)
    brands, categories = {fold(one) for one in bought.brands}, {fold(one) for one in bought.categories}
    own, others = [], []
    for row in products:
        kind = (row.brand and fold(row.brand) in brands) or (row.category and fold(row.category) in categories)
        if row.retailer == retailer and (kind or row.code in codes):
            own.append(row.id)
        elif row.retailer != retailer and kind:
            others.append(row.id)
    return Wanted(own, others)


class Walks:
    """Plans and issues; *coupon_key* makes the codes."""

    def __init__(self, pool: asyncpg.Pool, coupon_key: bytes) -> None:
        self._pool = pool
        self._key = coupon_key
        self._wanted: dict[int, Wanted] = {}
        self.full = False
        """The last step found nothing because enough is issued ahead."""

    async def plan(self, now_ms: int) -> int:
        """Give every start campaign that has become live its parts; how many campaigns."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await queries.walks.only_one_plans(connection):
                return 0
            campaigns = [row async for row in queries.walks.unplanned(connection)]
            for row in campaigns:
                spec = msgspec.convert(row["spec"], Campaign)
                minute = _minute(spec.delivery.local_time)
                zones = [z["zone"] async for z in queries.walks.zones(connection)] if minute is not None else []
                await _store(connection, row["id"], parts(minute, zones, _ms(row["starts_at"]), now_ms))
                log.info("walk.planned", campaign=row["id"], local_time=spec.delivery.local_time)
            return len(campaigns)

    async def step(self, now_ms: int) -> int | None:
        """Issue the next coupons of some part that is due; how many, None when there is nothing to walk."""
        async with self._pool.acquire() as connection:
            full = [row["campaign"] async for row in queries.walks.backlog(connection, most=AHEAD)]
            async with connection.transaction():
                row = await queries.walks.next_part(connection, full=full)
                self.full = row is None and bool(full)
                return None if row is None else await self._step(connection, row, now_ms)

    async def next_due_ms(self) -> int | None:
        """When the next part comes due."""
        due: int | None = await queries.walks.next_due_ms(self._pool)
        return due

    async def _step(self, connection: Any, row: Any, now_ms: int) -> int:
        spec = msgspec.convert(row["spec"], Campaign)
        valid_ms = min(now_ms + spec.offer.valid_for_s * 1000, _ms(row["ends_at"]))
        room = row["unleased"] + await queries.walks.block_left(connection, campaign=row["campaign"], p=row["p"])
        store = await queries.walks.first_store(
            connection,
            retailer=row["retailer"],
            everywhere=spec.everywhere,
            codes=spec.stores,
            cities=spec.cities,
            tags=spec.tags,
        )
        if valid_ms <= now_ms or store is None:
            return await _pass(connection, row, row["after"], 0, "too_late")
        if room < 1:
            return await _pass(connection, row, row["after"], 0, "budget")
        most = min(STEP, room)
        found = await self._recipients(connection, row, spec, most, now_ms)
        counts = await self._issue(connection, row, spec, found, (store, valid_ms)) if found else {}
        if counts:
            await queries.walks.spend(
                connection, campaign=row["campaign"], partitions=list(counts), counts=list(counts.values())
            )
        ended = "complete" if len(found) < most else None
        return await _pass(connection, row, found[-1].number if found else row["after"], sum(counts.values()), ended)

    async def _recipients(self, connection: Any, row: Any, spec: Campaign, most: int, now_ms: int) -> list[Recipient]:
        bought = spec.audience.bought
        chosen = Wanted([], []) if bought is None else await self._meant(connection, row, bought)
        given = {
            "after": row["after"],
            "most": most,
            "bought": bought is not None,
            "since_ms": now_ms - (bought.within_days * DAY_MS if bought is not None else 0),
            "own": chosen.own,
            "others": chosen.others,
        }
        if row["p"] is not None:
            rows = queries.walks.recipients_of_partition(connection, p=row["p"], **given)
        else:
            rows = queries.walks.recipients_of_zone(connection, zone=row["zone"], **given)
        return [Recipient(*one) async for one in rows]

    async def _meant(self, connection: Any, row: Any, bought: Bought) -> Wanted:
        campaign = row["campaign"]
        if campaign not in self._wanted:
            rows = [ProductRow(**dict(one)) async for one in queries.snapshots.products(connection)]
            self._wanted[campaign] = wanted(bought, row["retailer"], rows)
        return self._wanted[campaign]

    async def _issue(
        self, connection: Any, row: Any, spec: Campaign, found: Sequence[Recipient], terms: tuple[int, int]
    ) -> dict[int, int]:
        campaign, (store, valid_ms) = row["campaign"], terms
        given = await self._identities(campaign, found)
        rows = queries.walks.issue(
            connection,
            campaign=campaign,
            retailer=row["retailer"],
            store=store,
            occasion=derived("start", campaign),
            offer=msgspec.to_builtins(spec.offer),
            valid_ms=valid_ms,
            numbers=[one.number for one in found],
            partitions=[one.p for one in found],
            consents=[one.consents for one in found],
            decisions=[one.decision for one in given],
            coupons=[one.coupon for one in given],
            code_hashes=[one.code_hash for one in given],
            pushes=[one.push for one in given],
            inapps=[one.inapp for one in given],
        )
        return {one["p"]: one["n"] async for one in rows}

    async def _identities(self, campaign: int, found: Sequence[Recipient]) -> list[_Identity]:
        """Of each recipient; a few at a time, for the sender's messages wait meanwhile."""
        made: list[_Identity] = []
        for first in range(0, len(found), AT_A_TIME):
            made += [self._identity(campaign, one) for one in found[first : first + AT_A_TIME]]
            await asyncio.sleep(0)
        return made

    def _identity(self, campaign: int, recipient: Recipient) -> _Identity:
        decision = derived("walk", campaign, recipient.number)
        coupon_id = derived(decision, "coupon")
        code_hash = coupon.code_hash(coupon.code(self._key, coupon_id))
        shown = recipient.consents & MARKETING_INAPP
        inapp = derived(decision, "inapp") if shown else decision
        return _Identity(decision, coupon_id, code_hash, derived(decision, "fcm"), inapp)


async def _store(connection: Any, campaign: int, plan: Sequence[Part]) -> None:
    await queries.walks.plan(
        connection,
        campaign=campaign,
        parts=list(range(len(plan))),
        ps=[one.p for one in plan],
        zones=[one.zone for one in plan],
        due_ms=[one.due_ms for one in plan],
    )


async def _pass(connection: Any, row: Mapping[str, Any], after: int, issued: int, ended: str | None) -> int:
    await queries.walks.passed(
        connection, campaign=row["campaign"], part=row["part"], after=after, issued=issued, ended=ended
    )
    if ended is not None:
        log.info("walk.ended", campaign=row["campaign"], part=row["part"], why=ended)
    return issued


def _minute(clock: str | None) -> int | None:
    return None if clock is None else int(clock[:2]) * 60 + int(clock[3:])


def _ms(at: datetime.datetime) -> int:
    return round(at.timestamp() * 1000)
