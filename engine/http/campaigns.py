"""Campaigns: drafts in, verbs that move them along the state table, a kill that is a fact for every partition."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from engine.http.call import Call
from engine.http.paging import after, next_link
from engine.http.problems import Fault, Problem
from engine.http.references import codes_of
from engine.http.wire import Number, to_ms
from engine.log.keys import CAMPAIGN_STARTED, OUTBOX_CHANNEL
from engine.log.valkey import RedisError
from engine.postgres import queries
from offers.campaign import Campaign
from offers.errors import IllegalMove
from offers.lifecycle import State, Verb, move
from offers.validate import problems


class Budget(msgspec.Struct, frozen=True):
    """Coupons: `total` promised, `leased` handed to the matchers, `spent` issued and not given back."""

    total: int
    leased: int
    spent: int


class CampaignSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign without its terms."""

    id: Number
    code: str
    state: State
    stopped: bool
    version: int
    starts_at: datetime.datetime
    ends_at: datetime.datetime
    budget: Budget


class StoredCampaign(CampaignSummary, frozen=True, kw_only=True):
    """A campaign as stored, `campaign` as uploaded."""

    campaign: Campaign


class Campaigns(msgspec.Struct, frozen=True):
    """One page."""

    campaigns: list[CampaignSummary]
    next: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What `validate` found; a valid campaign has no errors."""

    valid: bool
    errors: list[Fault]


async def create(call: Call, body: Campaign) -> StoredCampaign:
    """Store a draft with its budget; nothing is live before it is activated."""
    if faults := await _faults(call, body):
        raise Problem("invalid", errors=faults)
    number = await queries.campaigns.insert_campaign(
        call.connection,
        retailer=call.retailer,
        code=body.code,
        spec=msgspec.to_builtins(body, builtin_types=()),
        starts_at=body.starts_at,
        ends_at=body.ends_at,
    )
    await queries.campaigns.insert_budget(
        call.connection, campaign=number, retailer=call.retailer, total=body.budget_coupons
    )
    await _audit(call, number, 1, "create")
    return await _stored(call, number)


async def validate(call: Call, body: Campaign) -> Verdict:
    """All problems a campaign would be refused for; stores nothing."""
    faults = await _faults(call, body)
    return Verdict(not faults, faults)


async def page(call: Call) -> Campaigns:
    """Campaigns by id."""
    rows = queries.campaigns.list_campaigns(call.connection, after=after(call), most=call.query.limit)
    found = [row async for row in rows]
    spent = await _spent(call, [row["id"] for row in found])
    shown = [CampaignSummary(**_summary(row, spent)) for row in found]
    return Campaigns(shown, next_link(call, [one.id for one in shown]))


async def one(call: Call) -> StoredCampaign:
    """One campaign with its terms and budget."""
    return await _stored(call, call.params["campaign"])


async def activate(call: Call) -> StoredCampaign:
    """Make it live; one whose start lies ahead is scheduled, and becomes live at its start."""
    row = await _locked(call)
    if to_ms(row["ends_at"]) <= call.now_ms:
        raise Problem("campaign_state", "the campaign's end has passed")
    ahead = to_ms(row["starts_at"]) > call.now_ms and row["state"] == "draft"
    call.after_commit.append(_wake_senders(call))
    return await _move(call, row, "schedule" if ahead else "activate")


async def pause(call: Call) -> StoredCampaign:
    """Make no offers until it is activated again."""
    return await _move(call, await _locked(call), "pause")


async def end(call: Call) -> StoredCampaign:
    """Make no more offers; what is queued is suppressed at its claim, as no push may go out for an ended campaign."""
    return await _move(call, await _locked(call), "end")


async def stop(call: Call) -> StoredCampaign:
    """The kill: no more offers, and queued messages are suppressed."""
    row = await _locked(call)
    answer = await _move(call, row, "stop")
    await queries.campaigns.append_stops(call.connection, payload={"campaign": row["id"]})  # facts come last
    return answer


def _wake_senders(call: Call) -> Callable[[], Awaitable[None]]:
    """A start campaign goes out at once; a wake-up that is lost costs seconds."""

    async def wake() -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await call.services.valkey.publish(OUTBOX_CHANNEL, CAMPAIGN_STARTED)

    return wake


async def _move(call: Call, row: Any, verb: Verb) -> StoredCampaign:
    try:
        becomes = move(row["state"], verb)
    except IllegalMove as error:
        raise Problem("campaign_state", str(error)) from None
    number = row["id"]
    version = await queries.campaigns.move_campaign(call.connection, id=number, state=becomes, stopped=verb == "stop")
    await _audit(call, number, version, verb)
    return await _stored(call, number)


async def _audit(call: Call, campaign: int, version: int, verb: Verb | Literal["create"]) -> None:
    await queries.campaigns.insert_audit(
        call.connection,
        campaign=campaign,
        retailer=call.retailer,
        version=version,
        verb=verb,
        caller=call.caller.name,
    )


async def _locked(call: Call) -> Any:
    row = await queries.campaigns.lock_campaign(call.connection, id=call.params["campaign"])
    if row is None:
        raise Problem("not_found")
    return row


async def _stored(call: Call, number: int) -> StoredCampaign:
    row = await queries.campaigns.get_campaign(call.connection, id=number)
    if row is None:
        raise Problem("not_found")
    spec = msgspec.convert(row["spec"], Campaign)
    return StoredCampaign(**_summary(row, await _spent(call, [number])), campaign=spec)


async def _spent(call: Call, campaigns: list[int]) -> dict[int, int]:
    """Campaign → coupons issued and not given back. Blocks have no tenant, so the engine's role counts them, and
    only for campaigns that the tenant's own transaction has shown to be the retailer's."""
    async with call.services.pools.engine.acquire() as connection:
        rows = queries.campaigns.count_spent(connection, campaigns=campaigns)
        return {row["campaign"]: row["spent"] async for row in rows}


def _summary(row: Any, spent: dict[int, int]) -> dict[str, Any]:
    names = ("id", "code", "state", "stopped", "version", "starts_at", "ends_at")
    budget = Budget(row["total"], row["leased"], spent.get(row["id"], 0))
    return {name: row[name] for name in names} | {"budget": budget}


async def _faults(call: Call, campaign: Campaign) -> list[Fault]:
    """Everything `offers.validate` finds against the retailer's own stores and products."""
    stores, products = _named(campaign)
    known = await codes_of(call.connection, call.retailer, products, stores)
    of_stores = dict(known.stores)
    if not campaign.stores:  # meant for all of them: it matters only whether there is one
        async for row in queries.stores.list_stores(call.connection, after=0, most=1):
            of_stores[row["code"]] = row["id"]
    found = problems(campaign, of_stores, known.products, call.now_ms)
    return [Fault(p.code, p.detail, p.column or None, p.row) for p in found]


def _named(campaign: Campaign) -> tuple[set[str], set[str]]:
    """(store codes, product codes) that the campaign names anywhere."""
    products = set(campaign.offer.products)
    if campaign.audience.bought is not None:
        products.update(campaign.audience.bought.products)
    if campaign.search is not None:
        products.update(campaign.search.products)
    return {*campaign.stores, *(area.store for area in campaign.areas)}, products
