"""People to send to: a retailer with one store, customers with a phone each, a campaign, messages that wait."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

RETAILER = """
INSERT INTO retailer (name, currency) VALUES ('Bench', 'EUR');
INSERT INTO store (retailer, code, name, lat, lng, cell, zone)
SELECT id, 'S1', 'Store', 60.17, 24.94, 0, 'Europe/Helsinki' FROM retailer;
"""
CUSTOMERS = """
WITH made AS (
    INSERT INTO customer (number, p, id, consents, zone)
    SELECT n, n % 16, 'customer ' || n, $3, 'Europe/Helsinki' FROM generate_series($1::bigint, $2::bigint) AS n
    RETURNING number
)
INSERT INTO device (customer, name, platform, kind, registration)
SELECT number, 'phone', 'android', 'token', 'd' || lpad(number::text, 10, '0') || ':APA91b' || repeat('kF3-Jx_9', 16)
FROM made
"""
COUNTERS = "UPDATE customer_counter SET next_row = $1 / 16 + 1"
PUSH, EVERYTHING = 4, 12
QUEUE = """
WITH people AS (
    SELECT number, p, row_number() OVER (ORDER BY number) - 1 AS n FROM customer ORDER BY number LIMIT $2
), given AS (
    SELECT *, gen_random_uuid() AS decision, gen_random_uuid() AS coupon FROM people
), decisions AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell, event_at,
                          logged_at, decided_at, terms, held)
    SELECT g.decision, g.p, 1, g.number, 'enter', gen_random_uuid(), k.id, k.retailer, s.id, 0, now(), now(), now(),
           '{}', '[]'
    FROM given g, campaign k, store s WHERE k.id = $1
), coupons AS (
    INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
    SELECT g.coupon, g.decision, k.retailer, k.id, s.id, g.number, sha256(g.coupon::text::bytea), '{}', now(),
           now() + interval '1 day'
    FROM given g, campaign k, store s WHERE k.id = $1
), chunks AS (
    INSERT INTO chunk (id, day, channel, lane, campaign, size, due_at) OVERRIDING SYSTEM VALUE
    SELECT -1 - n / 1000 - $3::bigint, current_date, 'fcm', 'triggered', NULL, count(*), now() + interval '1 day'
    FROM given GROUP BY 1
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, channel, title, body, expires_at)
SELECT current_date, -1 - n / 1000 - $3::bigint, n % 1000 + 1, gen_random_uuid(), decision, number, $1, 'fcm',
       '15 % off', 'You are next door: come in.', now() + interval '1 day'
FROM given
"""
SEND = "UPDATE chunk SET due_at = now() WHERE leased_by IS NULL"
OPEN = "SELECT count(*) FROM chunk"
STEP = 50_000


async def people(database: Any, count: int, consents: int) -> None:
    """*count* customers who consent to push, each with one phone."""
    await database.execute(RETAILER)
    for first in range(0, count, STEP):
        await database.execute(CUSTOMERS, first, min(first + STEP, count) - 1, consents)
    await database.execute(COUNTERS, count)
    await database.execute("VACUUM ANALYZE customer, device")


async def campaign(database: Any) -> int:
    """A live campaign whose messages are put into the outbox by hand."""
    spec = {"code": "bench", "trigger": "enter", "creative": {"title": "15 % off", "body": "Come in."}}
    made: int = await database.fetchval(
        """INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)
           SELECT id, 'bench', 'live', $1::jsonb, now(), now() + interval '7 days' FROM retailer RETURNING id""",
        spec,
    )
    return made


async def queue(database: Any, campaign_id: int, count: int, nth: int) -> None:
    """*count* triggered messages, due when `SEND` says so; *nth* keeps the rounds' chunks apart."""
    await database.execute(QUEUE, campaign_id, count, nth * 1_000_000)


async def script(url: str, registration: str, answers: list[dict[str, Any]]) -> None:
    """Tell the stand-in what to answer."""
    body = msgspec.json.encode({"registration": registration, "answers": answers})
    async with aiohttp.ClientSession() as session, session.post(f"{url}/script", data=body) as answer:
        if answer.status != 200:
            raise RuntimeError(await answer.text())
