"""Campaigns: drafts in, verbs that move them along the state table, a kill that is a fact for every partition."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.paging import after, next_link
from engine.http.problems import Fault, Problem
from engine.http.references import codes_of
from engine.http.wire import Code, Instant, Number, to_ms
from engine.log.keys import CAMPAIGN_STARTED, OUTBOX_CHANNEL
from engine.log.valkey import RedisError
from engine.postgres import queries
from offers.campaign import Campaign
from offers.catalogue import fold
from offers.errors import IllegalMove
from offers.lifecycle import State, Verb, move
from offers.validate import Named, problems


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


class Clone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the copy says otherwise; all else is as in the original."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None


class EditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`version`: refuse with 409 when the campaign is at another one by now."""

    version: Number | None = None
    retailer: Number | None = None


class Version(msgspec.Struct, frozen=True):
    """One change: the verb, whose it was, and what the campaign said from then on where that changed.

    `caller` is `key:7`, `clock` (its time had come) or `sender` (its messages were refused as such)."""

    version: int
    verb: str
    caller: str
    at: datetime.datetime
    campaign: Campaign | None


class Versions(msgspec.Struct, frozen=True):
    """All there are."""

    versions: list[Version]


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
        spec=_spec(body),
        starts_at=body.starts_at,
        ends_at=body.ends_at,
    )
    await queries.campaigns.insert_budget(
        call.connection, campaign=number, retailer=call.retailer, total=body.budget_coupons
    )
    await _audit(call, number, 1, "create", _spec(body))
    return await _stored(call, number)


async def edit(call: Call, body: Campaign) -> StoredCampaign:
    """Say anew what a campaign that has not ended says; it is live with that within a second."""
    row = await _locked(call)
    _require_version(call, row)
    if row["state"] == "ended":
        raise Problem("campaign_state", "the campaign has ended; clone it")
    faults = await _faults(call, body)
    if body.code != row["code"]:
        faults.append(Fault("value", "the code of a campaign stays as it is", "code"))
    if faults:
        raise Problem("invalid", errors=faults)
    values = {"id": row["id"], "spec": _spec(body), "starts_at": body.starts_at, "ends_at": body.ends_at}
    version = await queries.campaigns.edit_campaign(call.connection, **values)
    await queries.campaigns.resize_budget(call.connection, campaign=row["id"], total=body.budget_coupons)
    await _audit(call, row["id"], version, "edit", values["spec"])
    return await _stored(call, row["id"])


async def clone(call: Call, body: Clone) -> StoredCampaign:
    """A draft that says the same under another code, with a budget of its own."""
    row = await queries.campaigns.get_campaign(call.connection, id=call.params["campaign"])
    if row is None:
        raise Problem("not_found")
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    return await create(call, msgspec.structs.replace(msgspec.convert(row["spec"], Campaign), **changes))


async def versions(call: Call) -> Versions:
    """Who changed what: every version of a campaign, oldest first."""
    if await queries.campaigns.get_campaign(call.connection, id=call.params["campaign"]) is None:
        raise Problem("not_found")
    rows = queries.campaigns.list_versions(call.connection, campaign=call.params["campaign"])
    return Versions([_version(row) async for row in rows])


def _version(row: Any) -> Version:
    spec = msgspec.convert(row["spec"], Campaign) if row["spec"] is not None else None
    return Version(row["version"], row["verb"], row["caller"], row["at"], spec)


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
    if row["own_codes"] and row["codes"] < row["total"]:
        why = f"it gives codes of its own, and has {row['codes']} of {row['total']}: upload the others first"
        raise Problem("campaign_state", why)
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


async def _audit(
    call: Call, campaign: int, version: int, verb: Verb | Literal["create", "edit"], spec: Any = None
) -> None:
    await queries.campaigns.insert_audit(
        call.connection,
        campaign=campaign,
        retailer=call.retailer,
        version=version,
        verb=verb,
        caller=call.caller.name,
        spec=spec,
    )


def _spec(campaign: Campaign) -> Any:
    return msgspec.to_builtins(campaign, builtin_types=())


def _require_version(call: Call, row: Any) -> None:
    """Who says which version is edited finds out that somebody else was faster."""
    if call.query.version not in (None, row["version"]):
        raise Problem("conflict", f"the campaign is at version {row['version']} by now")


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
    if campaign.everywhere:  # meant for all of them: it matters only whether there is one
        async for row in queries.stores.list_stores(call.connection, after=0, most=1):
            of_stores[row["code"]] = row["id"]
    named = Named(
        **await queries.campaigns.find_named(
            call.connection,
            retailer=call.retailer,
            areas=campaign.drawn,
            tags=[fold(tag) for tag in campaign.tags],
            cities=[fold(city) for city in campaign.cities],
        )
    )
    found = problems(campaign, of_stores, known.products, call.now_ms, None, named)
    return [Fault(p.code, p.detail, p.column or None, p.row) for p in found]


def _named(campaign: Campaign) -> tuple[set[str], set[str]]:
    """(store codes, product codes) that the campaign names anywhere."""
    products = set(campaign.offer.products)
    if campaign.audience.bought is not None:
        products.update(campaign.audience.bought.products)
    if campaign.search is not None:
        products.update(campaign.search.products)
    return {*campaign.stores, *(area.store for area in campaign.areas)}, products
