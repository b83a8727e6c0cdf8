"""`candlemaker demo`: the real product, driven through its HTTP API by a simulated town."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from engine.demo.front import on_screen
from engine.demo.journey import tables
from engine.demo.screen import Opening
from engine.demo.show import Options, Result, opened, perform, result
from engine.errors import SettingError
from engine.settings import Settings
from engine.supervise import Stack

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
    console = Console(stderr=options.headless)
    result = asyncio.run(_until_told(settings, options, console))
    if result is None:
        return 0
    if options.headless:
        sys.stdout.write(json.dumps(result.numbers, indent=2) + "\n")
    else:
        console.print_json(data=result.numbers)
    for sentence in result.failures:
        sys.stderr.write(f"demo: {sentence}\n")
    return 1 if result.failures else 0


def options_of(args: argparse.Namespace) -> Options:
    """Checked options; `SettingError` says what is wrong."""
    if not LEAST_PHONES <= args.phones <= MOST_PHONES:
        raise SettingError(f"--phones {args.phones}: between {LEAST_PHONES} and {MOST_PHONES}")
    if args.seconds is not None and args.seconds < LEAST_S:
        raise SettingError(f"--seconds {args.seconds:g}: at least {LEAST_S:g}, or the guards have no time")
    seconds = HEADLESS_S if args.seconds is None and args.json and args.replay is None else args.seconds
    return Options(seconds, args.json, args.phones, args.seed, args.port, args.replay)


async def _until_told(settings: Settings, options: Options, console: Console) -> Result | None:
    """The whole run; None when it was stopped before there was anything to judge."""
    ears = Ears()
    with contextlib.suppress(asyncio.CancelledError):
        async with AsyncExitStack() as stack:
            with Opening(console) as opening:
                show = await stack.enter_async_context(opened(settings, options, opening.tell))
            ears.playing(show.stage.stack)
            play = perform(show, ears.stop, []) if options.headless else on_screen(show, ears.stop, console)
            await play
            console.print("stopping: the roles drain, the servers last", style="dim")
            return await result(show) if show.judged else None
    return None


class Ears:
    """Signals: before the play the first one ends everything, during it the play, and a second one hurries."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self._task = asyncio.current_task()
        self._stack: Stack | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._hear)

    def playing(self, stack: Stack) -> None:
        """From now on the first signal only ends the play."""
        self._stack = stack

    def _hear(self) -> None:
        if self._stack is not None and not self.stop.is_set():
            self.stop.set()
            return
        if self._stack is not None:
            self._stack.hurry()
        if self._task is not None:
            self._task.cancel()
