"""`python -m benchmarks.run [bench ...]`: measure, write `results/<bench>.json`, say what missed its bar.

Refuses when the machine is busy, unless told `--although-busy`; such figures say so in their notes.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import (
    bars,
    first_coupon,
    geo_compile,
    geo_encode,
    geo_fences,
    geo_nearest,
    geo_pings,
    geo_polygons,
    geo_scale,
    ingest,
    latency,
    match_decide,
    match_http,
    match_jitter,
    match_live,
    match_load,
    match_step,
    match_tile38,
    memory,
    result,
    send,
    send_million,
    send_paced,
    send_storm,
    send_transports,
    stop,
    takeover,
    upload_campaigns,
    upload_inventory,
)
from benchmarks.bars import Plan
from benchmarks.machine import QUIET, commit, load_average, this_machine
from benchmarks.report import line_of
from benchmarks.result import Result, Row

BENCHES: dict[str, Callable[[Plan], Awaitable[list[Row]]]] = {
    "ingest": ingest.bench,
    "latency": latency.bench,
    "takeover": takeover.bench,
    "stop": stop.bench,
    "first_coupon": first_coupon.bench,
    "memory": memory.bench,
    "geo_encode": geo_encode.bench,
    "geo_fences": geo_fences.bench,
    "geo_polygons": geo_polygons.bench,
    "geo_scale": geo_scale.bench,
    "geo_nearest": geo_nearest.bench,
    "geo_pings": geo_pings.bench,
    "geo_compile": geo_compile.bench,
    "match_decide": match_decide.bench,
    "match_jitter": match_jitter.bench,
    "upload_inventory": upload_inventory.bench,
    "upload_campaigns": upload_campaigns.bench,
    "match_tile38_10k": match_tile38.bench,
    "match_tile38_100k": match_tile38.bench,
    "match_http": match_http.bench,
    "match_step": match_step.bench,
    "match_live": match_live.bench,
    "match_load": match_load.bench,
    "send": send.bench,
    "send_far": send.bench,
    "send_million": send_million.bench,
    "send_million_far": send_million.bench,
    "send_paced": send_paced.bench,
    "send_paced_far": send_paced.bench,
    "send_storm": send_storm.bench,
    "send_storm_far": send_storm.bench,
    "send_transports": send_transports.bench,
}
GEOMETRY = tuple(name for name in BENCHES if name.startswith("geo_"))
"""Measured by `make bench-geo` only: against peers, which must be installed first."""
MATCH = tuple(name for name in BENCHES if name.startswith("match_") and name != "match_load")
"""Measured by `make bench-match` only: against Tile38, which must be installed first."""
LOAD = ("match_load",)
"""Measured by `make bench-load` only: it takes a quarter of an hour."""
SEND = tuple(name for name in BENCHES if name.startswith("send"))
"""Measured by `make bench-send` only: against peers, which must be installed first."""
UPLOAD = tuple(name for name in BENCHES if name.startswith("upload_"))
"""Measured by `make bench-upload` only: they take minutes."""


def main(argv: list[str] | None = None) -> int:
    """0 when every bench ran and met its bars, 1 otherwise, 2 when the machine is busy."""
    args = _arguments(argv)
    busy = load_average()
    if busy > QUIET:
        what = f"the load average is {busy:.2f}, above {QUIET}: something else runs, and figures would be of both"
        print(f"{'WARNING' if args.although_busy else 'refused'}: {what}", file=sys.stderr)
        if not args.although_busy:
            print("wait a minute, or give --although-busy for figures that prove nothing", file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # which asyncio unwinds in order
    remark = f"; NOT ALONE on the machine (load average {busy:.2f} before)" if busy > QUIET else ""
    names = args.bench or _all_of(args)
    good = [_measured(name, args.out, remark) for name in names]
    return 0 if all(good) else 1


def _measured(name: str, folder: Path, remark: str) -> bool:
    """Run one bench and write its result; whether it met its bars."""
    plan = bars.load()[name]
    print(f"{name}: {plan.about}", flush=True)
    try:
        rows = asyncio.run(_bounded(BENCHES[name], plan))
    except Exception:  # one bench that fails must not hide the others' figures
        traceback.print_exc()
        print(f"{name}: FAILED", file=sys.stderr, flush=True)
        return False
    noted = [result.noted(row, remark) for row in rows]
    at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    result.write(Result(name, at, plan.seed, commit(), this_machine(), noted), folder)
    for row in noted:
        print("  " + line_of(row), flush=True)
    return all(row.met for row in noted)


def _all_of(args: argparse.Namespace) -> list[str]:
    groups = {"geometry": GEOMETRY, "upload": UPLOAD, "match": MATCH, "load": LOAD, "send": SEND}
    if asked := [name for group, names in groups.items() if getattr(args, group) for name in names]:
        return asked
    return [name for name in BENCHES if not any(name in names for names in groups.values())]


async def _bounded(bench: Callable[[Plan], Awaitable[list[Row]]], plan: Plan) -> list[Row]:
    async with asyncio.timeout(plan.longest_s):
        return await bench(plan)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "bench",
        nargs="*",
        metavar="bench",
        help=f"of {', '.join(BENCHES)}; all but those of a group below without",
    )
    parser.add_argument("--geometry", action="store_true", help="all of the geometry's")
    parser.add_argument("--upload", action="store_true", help="all of the uploads'")
    parser.add_argument("--match", action="store_true", help="all of the matching's but the load of ten minutes")
    parser.add_argument("--load", action="store_true", help="the load of ten minutes")
    parser.add_argument("--send", action="store_true", help="all of the sender's")
    parser.add_argument("--although-busy", action="store_true", help="measure although something else runs")
    parser.add_argument("--out", type=Path, default=result.FOLDER, help="folder of the results (default %(default)s)")
    args = parser.parse_args(argv)
    if unknown := set(args.bench) - BENCHES.keys():
        parser.error(f"there is no bench {sorted(unknown)[0]}; known: {', '.join(BENCHES)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
