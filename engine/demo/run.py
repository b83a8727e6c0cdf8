"""`candlemaker demo`: the real product, driven through its HTTP API by a simulated town."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from engine.demo.journey import tables
from engine.demo.show import Options, Result, opened, perform, result
from engine.errors import SettingError
from engine.settings import Settings

PHONES, SEED, PAGE_PORT = 4_000, 1, 8480
LEAST_PHONES, MOST_PHONES = 300, 50_000
LEAST_S, HEADLESS_S = 10.0, 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `demo`."""
    parser.add_argument("--seconds", type=float, help="end after this many seconds of traffic (default: at Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="no screen; end with one JSON object on stdout")
    parser.add_argument("--phones", type=int, default=PHONES, help="how many phones walk (default %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=SEED, help="another town, the same every time (default %(default)s)"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="carry a recorded .tcx or .gpx track (also .gz) into the city"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PAGE_PORT,
        help="port of the page on this machine, 0 for a free one (default %(default)s)",
    )


def main(settings: Settings, args: argparse.Namespace) -> int:
    """Run; 0 when everything held, 1 when something was violated or not tried, or a replay won no coupon."""
    options = options_of(args)
    tables()  # says at once what to install when the extra is missing
    result = asyncio.run(_until_told(settings, options))
    if result is None:
        return 0
    if args.json:
        sys.stdout.write(json.dumps(result.numbers, indent=2) + "\n")
    for sentence in result.failures:
        sys.stderr.write(f"demo: {sentence}\n")
    return 1 if result.failures else 0


def options_of(args: argparse.Namespace) -> Options:
    """Checked options; `SettingError` says what is wrong."""
    if not LEAST_PHONES <= args.phones <= MOST_PHONES:
        raise SettingError(f"--phones {args.phones}: between {LEAST_PHONES} and {MOST_PHONES}")
    if args.seconds is not None and args.seconds < LEAST_S:
        raise SettingError(f"--seconds {args.seconds:g}: at least {LEAST_S:g}, or the guards have no time")
    seconds = args.seconds if args.seconds is not None or not args.json else HEADLESS_S
    return Options(seconds, args.json, args.phones, args.seed, args.port, args.replay)


async def _until_told(settings: Settings, options: Options) -> Result | None:
    """The whole run; None when it was stopped before there was anything to judge."""
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    async with opened(settings, options, _tell) as show:
        await perform(show, stop, [])
        return await result(show) if options.headless else None


def _tell(step: str, done: int, of: int) -> None:
    sys.stderr.write(f"{step} {done}/{of}\n")
