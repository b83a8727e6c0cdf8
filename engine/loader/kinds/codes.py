"""Coupon codes of the retailer's own making, for campaigns that give those in place of ours."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.http.owncodes import own_hash, seal
from engine.http.problems import Fault
from engine.http.wire import Code
from engine.loader.kinds.kind import Cells, Counts, Order, RowKind
from engine.loader.known import Known
from engine.postgres import queries


class NewCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One coupon of a campaign."""

    campaign: Code
    code: Annotated[str, Meta(min_length=4, max_length=64, pattern=r"^[!-~]+( [!-~]+)*$")]

    def __repr__(self) -> str:  # codes stay out of logs and tracebacks
        return "NewCode()"


_COLUMNS = {"campaign": "campaign", "promotion_id": "campaign", "code": "code", "coupon_code": "code"}


def _of_cells(cells: Cells, _: Known) -> Any:
    return dict(cells)


def _check(one: NewCode, row: int, known: Known) -> list[Fault]:
    if one.campaign not in known.campaigns:
        return [Fault("unknown_campaign", "the retailer has no such campaign, or it has ended", "campaign", row)]
    return []


def _stage(one: NewCode, known: Known) -> tuple[str, Any]:
    hashed = own_hash(known.coupon_key, known.retailer, one.code)
    sealed = seal(known.coupon_key, one.code)
    data = {
        "campaign": known.campaigns[one.campaign],
        "sealed": base64.b64encode(sealed).decode(),
    }
    return hashed.hex(), data


async def _store(connection: Any, known: Known, order: Order) -> list[Fault] | Counts:
    taken = [row["row"] async for row in queries.loader.codes_elsewhere(connection)]
    if taken:
        return [Fault("conflict", "the code belongs to another campaign", "code", row) for row in taken]
    row = await queries.loader.merge_codes(connection, retailer=known.retailer)
    ended = await queries.loader.drop_missing_codes(connection) if order.replace else 0
    return Counts(row["created"], 0, row["unchanged"], ended)


CODES = RowKind(
    member="codes",
    struct=NewCode,
    columns=_COLUMNS,
    required=frozenset({"campaign", "code"}),
    of_cells=_of_cells,
    check=_check,
    stage=_stage,
    store=_store,
)
