"""Campaigns: as JSON as the API takes them, or as a table with the column names of Google's promotions."""

from __future__ import annotations

from typing import Any

from engine.http.problems import Fault
from engine.loader.kinds.kind import CellError, Cells, Counts, Order, RowKind, listed
from engine.loader.known import Known
from engine.postgres import queries
from offers.campaign import Campaign
from offers.feeds.promotions import COLUMNS, REQUIRED, CellFault, campaign_of
from offers.validate import Named, content_problems


def _of_cells(cells: Cells, known: Known) -> Any:
    try:
        return campaign_of(cells, known.codes.currency, listed)
    except CellFault as fault:
        raise CellError(fault.column, fault.code, fault.detail) from None


def _check(campaign: Campaign, row: int, known: Known) -> list[Fault]:
    named = Named(areas=known.areas, tags=known.tags, cities=known.cities)
    found = content_problems(campaign, known.codes.stores, known.codes.products, known.now_ms, named)
    return [Fault(code, detail, column or None, row) for column, code, detail in found]


def _stage(campaign: Campaign, _: Known) -> tuple[str, Any]:
    return campaign.code, campaign


async def _store(connection: Any, known: Known, order: Order) -> list[Fault] | Counts:
    if faults := await _against_stored(connection, known):
        return faults
    retailer, caller = known.retailer, order.caller
    await queries.loader.take_memory(connection)
    row = await queries.loader.merge_campaigns(connection, retailer=retailer, caller=caller, activate=order.activate)
    ended = 0
    if order.replace:
        ended = await queries.loader.end_missing_campaigns(connection, retailer=known.retailer, caller=order.caller)
    if order.activate:
        few = [row["row"] async for row in queries.loader.too_few_codes(connection, retailer=known.retailer)]
        if few:
            why = "it gives codes of its own: upload as many as its budget before it is activated"
            return [Fault("too_few_codes", why, "own_codes", number) for number in few]
        await queries.loader.activate_staged(connection, retailer=known.retailer, caller=order.caller)
    return Counts(row["created"], row["updated"], row["unchanged"], ended)


async def _against_stored(connection: Any, known: Known) -> list[Fault]:
    """What only the campaigns that are there already can tell."""
    ended, small = queries.loader.ended_campaigns, queries.loader.budgets_too_small
    faults = [
        Fault("campaign_state", "the campaign of this code has ended; give the new one another", "code", row["row"])
        async for row in ended(connection, retailer=known.retailer)
    ]
    async for row in small(connection, retailer=known.retailer):
        why = f"{row['leased']} coupons are handed out already; the budget cannot be less"
        faults.append(Fault("range", why, "budget_coupons", row["row"]))
    return faults


CAMPAIGNS = RowKind(
    member="campaigns",
    struct=Campaign,
    columns=COLUMNS,
    required=REQUIRED,
    of_cells=_of_cells,
    check=_check,
    stage=_stage,
    store=_store,
)
