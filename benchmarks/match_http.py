"""Pings over HTTP in batches until the matcher has committed them, with a coupon for some of them.

Customers consent to in-app messages: a coupon's message goes into their inbox. What a push costs is the latency
bench's business. The requests are written before the clock runs; it stops when the last ping is committed.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from benchmarks import costs, crew, evidence, world
from benchmarks.bars import Plan
from benchmarks.crew import Hand
from benchmarks.ground import Square
from benchmarks.pusher import Order, Post
from benchmarks.result import Row, row
from benchmarks.rounds import Crowd
from benchmarks.stage import Stage, staged
from benchmarks.turns import told


async def bench(plan: Plan) -> list[Row]:
    """Windows follow each other; the first, in which everybody is seen, does not count."""
    async with staged(plan.settings) as stage:
        post = await _furnished(stage, plan)
        rounds = max(1, round(plan.count("pings") / plan.count("customers")))
        rates, shares, last_ms, spent = [], [], 0, {}
        async with crew.senders(post, 1) as hands:
            for number in range(plan.count("rounds") + 1):
                every_ms = int(1000 * plan.number("every_s"))
                base_ms = max(int(1000 * time.time()) - rounds * every_ms, last_ms + every_ms)
                last_ms = base_ms + rounds * every_ms
                first = number * rounds
                order = Order(first, first + rounds, base_ms - first * every_ms, every_ms)
                rate, share = await _window(stage, hands, order)
                told(f"{rate:,.0f} pings/s, {share:.2f} % with a coupon")
                if not number:
                    spent = costs.spent_s(stage)
                else:
                    rates.append(rate)
                    shares.append(share)
            cost = costs.told_us(spent, costs.spent_s(stage), len(rates) * rounds * plan.count("customers"))
    note = (
        f"{len(rates)} windows of {rounds * plan.count('customers')} pings, all accepted and matched; JSON, "
        f"{plan.count('batch')} a request, {plan.count('connections')} connections; coupons by in-app message; {cost}"
    )
    return [
        row(plan.bar("http_pings"), rates, note),
        row(plan.bar("http_coupons"), shares, note, ours=min(shares)),
    ]


async def _furnished(stage: Stage, plan: Plan) -> Post:
    square = Square(plan.seed, plan.number("side_m"), plan.count("fences"))
    customers = plan.count("customers")
    made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers, phones=False)
    await asyncio.to_thread(world.launch_everywhere, made, square, plan.number("radius_m"))
    await evidence.until_live(stage.database)
    parts = urlsplit(stage.stack.url)
    assert parts.hostname and parts.port
    step_m = plan.number("walk_m_s") * plan.number("every_s")
    crowd = Crowd(plan.seed, "walk", customers, square.side_m, step_m)
    return Post(
        crowd, 0, customers, "json", parts.hostname, parts.port, plan.count("connections"), plan.count("batch"),
        made.app_key,
    )  # fmt: skip


async def _window(stage: Stage, hands: list[Hand], order: Order) -> tuple[float, float]:
    """(pings committed a second, per cent of them with a coupon)."""
    before, coupons = await evidence.matched(stage.database), await _coupons(stage)
    (sent,) = await crew.push(hands, order)
    ended_ms = await evidence.until_matched(stage.database, before + sent.pings)
    more = await _coupons(stage) - coupons
    return sent.pings / (ended_ms / 1000 - sent.began_s), 100 * more / sent.pings


async def _coupons(stage: Stage) -> int:
    return int(await stage.database.fetchval("SELECT count(*) FROM coupon"))
