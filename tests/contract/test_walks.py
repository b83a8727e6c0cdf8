"""A start campaign's walk: everybody in its audience once, within its budget, at their own hour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from engine.clock import Clock
from engine.matcher.decision import derived
from engine.postgres.pool import ENGINE, connect, open_pool
from engine.sender import walk
from engine.sender.lanes import Lane
from engine.sender.outbox import Outbox
from engine.sender.walk import Part, Walks, parts
from engine.settings import Settings
from offers import coupon

KEY = b"a coupon key of thirty-two bytes"
PEOPLE = 40


@pytest.fixture(autouse=True)
def no_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes the chunks here: let the walks run ahead."""
    monkeypatch.setattr(walk, "AHEAD", 1000)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Any]:
    """Forty customers: consent by number, a phone each, bought candles every third."""
    database = await connect(settings)
    await database.execute(
        """INSERT INTO retailer (name, currency) VALUES ('One', 'EUR'), ('Two', 'EUR');
           INSERT INTO store (retailer, code, name, lat, lng, cell, zone)
           VALUES (1, 's1', 'Store', 60.1, 24.9, 77, 'Europe/Helsinki');
           INSERT INTO product (retailer, code, name, brand)
           VALUES (1, 'p1', 'Candle', 'Wick'), (2, 'p2', 'Other', 'WICK')"""
    )
    for n in range(PEOPLE):
        await database.execute(
            "INSERT INTO customer (number, p, id, consents, zone) VALUES ($1, $2, $3, $4, $5)",
            *(n, n % 16, f"c{n}", 14 + 16 * (n % 2), "Europe/Helsinki" if n % 4 else "America/New_York"),
        )
        await database.execute(
            "INSERT INTO device (customer, name, platform, kind, registration) VALUES ($1, 'p', 'android', 'fid', $2)",
            *(n, f"r{n}"),
        )
    await database.close()
    one = await open_pool(settings, ENGINE, 2, 6)
    yield one
    one.terminate()


async def campaign(pool: Any, *, budget: int = 1000, **more: Any) -> int:
    spec = {
        "code": "s", "name": "s", "trigger": "start", "radius_m": 50, "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2100-01-01T00:00:00Z", "cap": {"coupons": 1, "per_days": 1}, "budget_coupons": budget,
        "offer": {"kind": "percent_off", "percent": 10, "valid_for_s": 3600}, "creative": {"title": "T", "body": "B"},
    } | more  # fmt: skip
    number: int = await pool.fetchval(
        """INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)
           VALUES (1, 's', 'live', $1, now() - interval '1 day', now() + interval '3 days') RETURNING id""",
        spec,
    )
    await pool.execute("INSERT INTO budget (campaign, retailer, total) VALUES ($1, 1, $2)", number, budget)
    return number


async def walked(pool: Any, walks: Walks | None = None) -> int:
    """Walk until nothing is left; how many were issued."""
    walks, total, now_ms = walks or Walks(pool, KEY), 0, Clock().now_ms()
    await walks.plan(now_ms)
    while (issued := await walks.step(now_ms)) is not None:
        total += issued
    return total


async def books(pool: Any) -> tuple[Any, ...]:
    """(decisions, coupons, debits, pushes, budget leased, blocks granted, blocks spent, walk's own count)."""
    return tuple(
        await pool.fetchrow(
            """SELECT (SELECT count(*) FROM decision), (SELECT count(*) FROM coupon),
               (SELECT count(*) FROM budget_ledger WHERE kind = 'debit'),
               (SELECT count(*) FROM message WHERE channel = 'fcm'), (SELECT sum(leased) FROM budget),
               (SELECT sum(granted) FROM budget_block), (SELECT sum(spent) FROM budget_block),
               (SELECT sum(issued) FROM walk)"""
        )
    )


async def test_everybody_gets_one_coupon_and_the_books_agree(pool: Any) -> None:
    number = await campaign(pool)
    assert await walked(pool) == PEOPLE
    assert await books(pool) == (PEOPLE,) * 8
    row = await pool.fetchrow("SELECT * FROM coupon JOIN decision d ON d.id = coupon.decision WHERE d.customer = 7")
    assert (row["trigger"], row["position"], row["cell"], row["campaign"]) == ("start", 0, 77, number)
    assert row["decision"] == derived("walk", number, 7)
    assert row["code_hash"] == coupon.code_hash(coupon.code(KEY, derived(row["decision"], "coupon"))), "a till takes it"
    assert await pool.fetchval("SELECT count(*) FROM message WHERE channel = 'inapp'") == PEOPLE
    assert await pool.fetchval("SELECT bool_and(title IS NULL) FROM message"), "texts are the campaign's"
    [lease] = await Outbox(pool, "a", 30).lease(Lane.BULK, 1)
    assert (lease.campaign, lease.rate_per_s) == (number, None)


async def test_who_may_not_be_reached_costs_nothing(pool: Any) -> None:
    await pool.execute("UPDATE customer SET consents = consents & ~12 WHERE number = 1")
    await pool.execute("UPDATE customer SET consents = consents & ~8 WHERE number IN (2, 3)")
    await pool.execute("UPDATE device SET state = 'removed' WHERE customer IN (3, 4)")
    await campaign(pool)
    assert await walked(pool) == PEOPLE - 2, "one said no; one has no phone and reads nothing in the app"
    assert {r["customer"] for r in await pool.fetch("SELECT customer FROM decision")} == set(range(PEOPLE)) - {1, 3}


async def test_a_walk_that_is_walked_again_meets_nobody_twice(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "STEP", 1)
    await campaign(pool)
    walks, now_ms = Walks(pool, KEY), Clock().now_ms()
    await walks.plan(now_ms)
    for _ in range(7):
        await walks.step(now_ms)
    await pool.execute("UPDATE walk SET after = -1, done_at = NULL, ended = NULL")  # as if nothing had been noted
    await pool.execute("DELETE FROM chunk")
    monkeypatch.setattr(walk, "STEP", 1000)
    await walked(pool, Walks(pool, KEY))
    assert (await books(pool))[:7] == (PEOPLE,) * 7
    assert await Walks(pool, KEY).plan(now_ms) == 0, "a walk is planned once"


async def test_two_walkers_share_a_budget_to_the_last_coupon(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "STEP", 2)
    await campaign(pool, budget=23)
    await Walks(pool, KEY).plan(Clock().now_ms())

    async def walker() -> int:
        walks, total = Walks(pool, KEY), 0
        while True:
            try:
                issued = await walks.step(Clock().now_ms())
            except asyncpg.CheckViolationError:
                continue
            if issued is None:
                return total
            total += issued

    assert sum(await asyncio.gather(*(walker() for _ in range(4)))) == 23
    assert await books(pool) == (23,) * 8
    assert await pool.fetchval("SELECT count(*) FROM walk WHERE ended = 'budget'") > 0


async def test_an_audience_is_who_bought(pool: Any) -> None:
    for n in range(PEOPLE):
        if n % 3 == 0:
            product = 1 if n % 2 else 2
            purchase = await pool.fetchval(
                "INSERT INTO purchase (retailer, customer, p, receipt, at, total_minor, currency)"
                " VALUES ($1, $2, $3, $4, now(), 1, 'EUR') RETURNING id",
                *(product, n, n % 16, f"r{n}"),
            )
            await pool.execute("INSERT INTO purchase_line VALUES ($1, 1, $2, $2, 1, 1)", purchase, product)
    # Who bought of retailer two (even numbers) counts only with consent to that, which odd numbers have.
    await pool.execute("UPDATE customer SET consents = consents | 16 WHERE number = 6")
    await pool.execute("UPDATE customer SET consents = consents & ~2 WHERE number = 9")
    await campaign(pool, audience={"bought": {"brands": ["wick"], "within_days": 30}})
    await walked(pool)
    wanted = {n for n in range(PEOPLE) if n % 3 == 0 and n % 2 == 1} - {9} | {6}
    assert {r["customer"] for r in await pool.fetch("SELECT customer FROM decision")} == wanted


async def test_it_issues_no_further_ahead_than_the_sending_needs(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "AHEAD", 3)
    await campaign(pool)
    walks = Walks(pool, KEY)
    await walked(pool, walks)
    assert walks.full
    assert await pool.fetchval("SELECT count(*) FROM chunk WHERE channel = 'fcm'") == 3


async def test_everybody_is_met_at_their_own_hour(pool: Any) -> None:
    await pool.execute("UPDATE customer SET zone = NULL WHERE number = 5")
    now = datetime.now(UTC)
    here = now.astimezone(ZoneInfo("Europe/Helsinki")) + timedelta(minutes=2)
    number = await campaign(pool, delivery={"local_time": here.strftime("%H:%M"), "rate_per_s": 50})
    assert await walked(pool) == 0, "nowhere is it that hour yet"
    due = {r["zone"]: r["due_at"] for r in await pool.fetch("SELECT zone, due_at FROM walk")}
    assert due.keys() == {"Europe/Helsinki", "America/New_York"}
    for zone, at in due.items():
        assert at.astimezone(ZoneInfo(zone)).strftime("%H:%M") == here.strftime("%H:%M")
        assert timedelta() <= at - now <= timedelta(hours=25)
    await pool.execute("UPDATE walk SET due_at = now() WHERE zone = 'Europe/Helsinki'")
    await walked(pool)
    met = {r["customer"] for r in await pool.fetch("SELECT customer FROM decision")}
    assert met == {n for n in range(PEOPLE) if n % 4} - {5}, "without a zone nobody knows their hour"
    [lease] = await Outbox(pool, "a", 30).lease(Lane.BULK, 1)
    assert (lease.campaign, lease.rate_per_s) == (number, 50.0)


async def test_a_paused_campaign_stands_still_and_goes_on(pool: Any) -> None:
    number = await campaign(pool)
    await Walks(pool, KEY).plan(Clock().now_ms())
    await pool.execute("UPDATE campaign SET state = 'paused'")
    assert await Walks(pool, KEY).step(Clock().now_ms()) is None
    await pool.execute("UPDATE campaign SET state = 'live' WHERE id = $1", number)
    assert await walked(pool) == PEOPLE


def test_the_plan_is_pure() -> None:
    assert parts(None, [], 0, 5) == [Part(p, None, 5) for p in range(16)]
    at_ms = round(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp() * 1000)
    [one] = parts(3 * 60 + 30, ["Europe/Helsinki"], at_ms, 0)
    assert datetime.fromtimestamp(one.due_ms / 1000, UTC) == datetime(2026, 3, 29, 1, tzinfo=UTC), "03:30 is leapt over"
