"""POST /v1/purchases: receipts of customers who consented to `history`, each stored once, each a fact."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.directory.consents import HISTORY
from engine.http.call import Call, retailer_of
from engine.http.consents import append_facts
from engine.http.outcome import outcome
from engine.http.problems import Problem
from engine.http.references import Codes, codes_of
from engine.http.wire import Accepted, Code, Currency, Instant, Minor, Refusal, to_ms
from engine.log.keys import PARTITIONS
from engine.postgres import queries

OLDEST_MS = 10 * 366 * 86_400_000
AHEAD_MS = 60_000


class PurchaseLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One product of a receipt; `amount_minor` is what the whole line cost."""

    product: Code
    quantity: Annotated[int, Meta(ge=1, le=100_000)]
    amount_minor: Minor


class Purchase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt; its number is unique within the retailer."""

    customer: Annotated[str, Meta(min_length=1, max_length=128)]
    receipt: Annotated[str, Meta(min_length=1, max_length=128)]
    at: Instant
    total_minor: Minor
    currency: Currency
    lines: Annotated[list[PurchaseLine], Meta(min_length=1, max_length=500)]
    store: Code | None = None


class Purchases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch; every row is judged by itself."""

    purchases: Annotated[list[Purchase], Meta(min_length=1, max_length=1_000)]


@dataclass(frozen=True)
class _Known:
    """What the rows refer to: customer id → (number, consents), codes, receipt → what is stored of it."""

    customers: Mapping[str, Any]
    codes: Codes
    stored: Mapping[str, Any]


async def post(call: Call, body: Purchase | Purchases) -> Accepted:
    """Store what may be stored; a receipt that is stored already with the same content counts as accepted."""
    call.retailer = retailer_of(call.caller, call.query.retailer)
    rows = body.purchases if isinstance(body, Purchases) else [body]
    # Two calls with one receipt wait for each other here, so that the second compares with what the first stored.
    receipts = sorted({row.receipt for row in rows})
    async for _ in queries.purchases.lock_receipts(call.connection, retailer=call.retailer, receipts=receipts):
        pass
    known = await _known(call, rows, receipts)
    refused, fresh, seen = [], [], dict[str, int]()
    for number, row in enumerate(rows, 1):
        code = "repeated_receipt" if row.receipt in seen else _refusal(row, known, call.now_ms)
        seen[row.receipt] = number
        if code:
            refused.append(Refusal(number, code))
        elif row.receipt not in known.stored:
            fresh.append(row)
    answer = outcome(len(rows) - len(refused), refused, isinstance(body, Purchase))
    if fresh:
        await _store(call, fresh, known)
    return answer


async def _known(call: Call, rows: Sequence[Purchase], receipts: list[str]) -> _Known:
    products = {line.product for row in rows for line in row.lines}
    stores = {row.store for row in rows if row.store is not None}
    codes = await codes_of(call.connection, call.retailer, products, stores)
    if not codes.currency:
        raise Problem("not_found", "the retailer does not exist")
    ids = sorted({row.customer for row in rows})
    customers = queries.purchases.find_customers(call.connection, ids=ids)
    stored = queries.purchases.find_purchases(call.connection, retailer=call.retailer, receipts=receipts)
    return _Known({c["id"]: c async for c in customers}, codes, {s["receipt"]: s async for s in stored})


def _refusal(row: Purchase, known: _Known, now_ms: int) -> str:
    """Why a row is refused; '' when it is not."""
    customer = known.customers.get(row.customer)
    if customer is None:
        return "unknown_customer"
    if not customer["consents"] & HISTORY:
        return "no_consent"
    if row.store is not None and row.store not in known.codes.stores:
        return "unknown_store"
    if any(line.product not in known.codes.products for line in row.lines):
        return "unknown_product"
    if row.currency != known.codes.currency:
        return "wrong_currency"
    return _stored_or_dated(row, known, now_ms)


def _stored_or_dated(row: Purchase, known: _Known, now_ms: int) -> str:
    """A stored receipt is held against what is stored, a new one against the clock."""
    stored = known.stored.get(row.receipt)
    if stored is not None:
        return "" if _content(row, known) == _stored_content(stored) else "receipt_differs"
    at_ms = to_ms(row.at)
    if at_ms < now_ms - OLDEST_MS:
        return "too_old"
    return "in_future" if at_ms > now_ms + AHEAD_MS else ""


def _content(row: Purchase, known: _Known) -> tuple[Any, ...]:
    """All of a receipt that must be equal for it to be the same one."""
    lines = [[known.codes.products[line.product], line.quantity, line.amount_minor] for line in row.lines]
    store = known.codes.stores[row.store] if row.store is not None else None
    return known.customers[row.customer]["number"], store, row.at, row.total_minor, lines


def _stored_content(stored: Any) -> tuple[Any, ...]:
    at: datetime.datetime = stored["at"]
    return stored["customer"], stored["store"], at, stored["total_minor"], stored["lines"]


async def _store(call: Call, fresh: Sequence[Purchase], known: _Known) -> None:
    rows: list[dict[str, Any]] = []
    facts: list[tuple[int, dict[str, Any]]] = []
    for row in fresh:
        number, store, at, total_minor, lines = _content(row, known)
        rows.append(
            {
                "customer": number,
                "p": number % PARTITIONS,
                "receipt": row.receipt,
                "store": store,
                "at": at,
                "total_minor": total_minor,
                "currency": row.currency,
                "lines": lines,
            }
        )
        bought = [[product, quantity] for product, quantity, _ in lines]
        facts.append((number, {"number": number, "at_ms": to_ms(at), "lines": bought}))
    await queries.purchases.insert_purchases(call.connection, retailer=call.retailer, rows=rows)
    await append_facts(call.connection, "purchase", facts)
