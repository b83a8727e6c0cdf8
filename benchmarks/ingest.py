"""Pings accepted and matched over HTTP: batches of 500, and one ping a request."""

from __future__ import annotations

import asyncio

from benchmarks import evidence, world
from benchmarks.bars import Plan
from benchmarks.generator import Order, Report
from benchmarks.generator import World as Where
from benchmarks.ground import Square
from benchmarks.load import Load, load
from benchmarks.result import Row, row
from benchmarks.stage import Stage, staged

WARM_S = 6.0


async def bench(plan: Plan) -> list[Row]:
    """Windows of both kinds take turns on one stack; the customers walk on all the time."""
    async with staged(plan.settings) as stage:
        where = await furnish(stage, plan)
        async with load(where) as generator:
            await warm(stage, generator, plan)
            batched, single = [], []
            for _ in range(plan.count("rounds")):
                batched.append(await _window(stage, generator, _batched(plan)))
                single.append(await _window(stage, generator, _single(plan)))
    return [
        row(plan.bar("pings_batched"), [_pings_per_s(*one) for one in batched], _told(batched)),
        row(plan.bar("pings_single"), [_requests_per_s(*one) for one in single], _told(single)),
    ]


async def furnish(stage: Stage, plan: Plan) -> Where:
    """The world with all its campaigns; what the generator has to know of it."""
    square = Square(plan.seed, plan.number("side_m"), plan.count("fences"))
    customers = plan.count("customers")
    made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers)
    await asyncio.to_thread(world.launch_everywhere, made, square, plan.number("radius_m"))
    return Where(stage.stack.url, made.app_key, plan.seed, square.side_m, customers, "walk")


async def warm(stage: Stage, generator: Load, plan: Plan) -> None:
    """Everybody is seen at least once; who starts inside a fence gets the coupon before anything is measured."""
    accepted = 0
    while accepted < plan.count("customers"):
        report = await generator.run(Order(batch=500, connections=4, seconds=WARM_S, pings_per_s=20_000))
        accepted += report.accepted
    await evidence.until_matched(stage.database, accepted)
    await evidence.until_sent(stage.database)


async def _window(stage: Stage, generator: Load, order: Order) -> tuple[Report, float]:
    """(what was sent, epoch milliseconds at which all of it was matched)."""
    before = await evidence.matched(stage.database)
    report = await generator.run(order)
    return report, await evidence.until_matched(stage.database, before + report.accepted)


def _batched(plan: Plan) -> Order:
    return Order(plan.count("batch"), plan.count("batch_connections"), plan.number("batched_s"))


def _single(plan: Plan) -> Order:
    return Order(1, plan.count("single_connections"), plan.number("single_s"))


def _pings_per_s(report: Report, matched_ms: float) -> float:
    """From the first byte sent until the last ping's matching was committed."""
    return 1000 * report.accepted / (matched_ms - report.began_ms)


def _requests_per_s(report: Report, _: float) -> float:
    return 1000 * report.requests / (report.ended_ms - report.began_ms)


def _told(windows: list[tuple[Report, float]]) -> str:
    behind_s = [(matched_ms - report.ended_ms) / 1000 for report, matched_ms in windows]
    p99_ms = [report.answer_p99_ms for report, _ in windows]
    pings = sum(report.accepted for report, _ in windows)
    return (
        f"{len(windows)} windows, {pings} pings, all accepted and matched, none twice; committed at most "
        f"{max(behind_s):.2f} s after the last answer; answers p99 at most {max(p99_ms):.0f} ms; customers made "
        "through POST /v1/customers"
    )
