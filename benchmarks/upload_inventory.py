"""Ten million rows of a local inventory feed: stored, stored again with a tenth changed, while phones report."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks import upload_files, world
from benchmarks.bars import Plan
from benchmarks.generator import World as Where
from benchmarks.ground import Square
from benchmarks.load import load
from benchmarks.result import Row, row
from benchmarks.sending import File, meanwhile, peak_mb, upload
from benchmarks.stage import staged

TSV = "text/tab-separated-values"
SIDE_M = 15_000.0


async def bench(plan: Plan) -> list[Row]:
    """One run each: a figure takes a minute, and what is stored the second time rests on the first."""
    with tempfile.TemporaryDirectory(prefix="candlemaker-bench-files-") as place:
        folder = Path(place)
        first = await asyncio.to_thread(upload_files.inventory, folder / "first.tsv.gz", plan, False)
        again = await asyncio.to_thread(upload_files.inventory, folder / "again.tsv.gz", plan, True)
        catalogue = await asyncio.to_thread(upload_files.products, folder / "products.csv", plan.count("products"))
        return await _measured(plan, first, again, catalogue)


async def _measured(plan: Plan, first: Path, again: Path, catalogue: Path) -> list[Row]:
    rows = plan.count("stores") * plan.count("products")
    async with staged(plan.settings) as stage:
        square = Square(plan.seed, SIDE_M, plan.count("stores"))
        customers = plan.count("customers")
        made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers)
        await upload(stage, made.retailer_key, File(catalogue, "products", "text/csv"))
        where = Where(stage.stack.url, made.app_key, plan.seed, SIDE_M, customers, "walk")
        rate, connections = plan.number("pings_per_s"), plan.count("connections")
        async with load(where) as phones, meanwhile(phones, rate, connections) as reports:
            first_s, told = await upload(stage, made.retailer_key, File(first, "prices", TSV))
            assert told["difference"] == {"created": rows, "updated": 0, "unchanged": 0, "ended": 0}, told
            again_s, told = await upload(stage, made.retailer_key, File(again, "prices", TSV))
            changed = round(rows * plan.number("changed_share"))
            assert told["difference"]["updated"] == changed, told
            assert told["difference"]["unchanged"] == rows - changed, told
        stored = await stage.database.fetchval("SELECT count(*) FROM price")
        assert stored == rows, stored
        memory = {name: peak_mb(stage.stack.pid(name) or 0) for name in ("loader", "api")}
    note = f"one run; {rows:,} rows in {told['bytes'] / 1e6:.0f} MB of gzip; {reports.requests:,} pings meanwhile"
    return [
        row(plan.bar("inventory_first"), [first_s], note),
        row(plan.bar("inventory_again"), [again_s], note),
        row(
            plan.bar("inventory_memory"),
            list(memory.values()),
            f"the larger of loader {memory['loader']:.0f} MB and API {memory['api']:.0f} MB, peak resident",
            ours=max(memory.values()),
        ),
        row(
            plan.bar("inventory_pings_p99"),
            reports.p99_ms,
            f"the worst of {len(reports.reports)} windows of 10 s; {reports.requests:,} pings",
            ours=max(reports.p99_ms),
        ),
    ]
