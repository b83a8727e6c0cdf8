"""`candlemaker dead-letters`: what ended without being shown for sure, and sending it again."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any
from uuid import UUID

from engine.embedded.servers import borrowed
from engine.log.keys import OUTBOX_CHANNEL
from engine.log.valkey import RedisError
from engine.log.valkey import connect as valkey
from engine.postgres import queries
from engine.postgres.migrate import migrate
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings

MOST = 100
MOST_REPLAYED = 100_000
PAGE = 1_000
DIGITS = 15
MOST_HOURS = 90 * 24
"""Messages are kept no longer."""


def add_arguments(page: argparse.ArgumentParser) -> None:
    """The verbs of `dead-letters`."""
    verbs = page.add_subparsers(dest="verb", metavar="VERB", required=True)
    listed = verbs.add_parser(
        "list", help="list them, newest first: time, id, state, reason, attempts, customer, campaign"
    )
    listed.add_argument("--most", type=_count, default=MOST, help="how many (default %(default)s)")
    replayed = verbs.add_parser("replay", help="send again those whose offer runs and whose coupon was not taken back")
    replayed.add_argument("--id", type=_id, action="append", default=[], help="one message; may be given several times")
    for one in (listed, replayed):
        one.add_argument("--hours", type=_hours, default=24.0, help="not older than this (default %(default)s)")
        one.add_argument("--reason", type=_text, help="only those that ended for this reason, as `list` shows it")
        one.add_argument("--campaign", type=_count, help="only those of this campaign")


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError("not a message's id; `list` shows them") from None


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else 0
    if not number:
        raise argparse.ArgumentTypeError(f"not a whole number from 1 on: {text}")
    return number


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"not a number of hours up to {MOST_HOURS} (90 days): {text}")
    return hours


def _text(text: str) -> str:
    if not text.isprintable():
        raise argparse.ArgumentTypeError("not a reason, as `list` shows it")
    return text


async def dead_letters(settings: Settings, args: argparse.Namespace) -> int:
    """Run one verb."""
    async with borrowed(settings) as found:
        await migrate(found)
        connection = await connect(found, ENGINE)
        try:
            lines = await (_list(connection, args) if args.verb == "list" else _replay(connection, found, args))
        finally:
            await connection.close()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


async def _list(connection: Any, args: argparse.Namespace) -> list[str]:
    table = [("time", "id", "state", "reason", "attempts", "customer", "campaign", "replayable")]
    for row in await _found(connection, args, args.most):
        at, replayable = row["at"].isoformat(timespec="seconds"), "yes" if row["replayable"] else "no"
        cells = (row["state"], row["reason"], row["attempts"], row["customer"], row["campaign"] or "-", replayable)
        table.append((at, str(row["id"]), *map(str, cells)))
    return ["\t".join(cells) for cells in table]


async def _replay(connection: Any, settings: Settings, args: argparse.Namespace) -> list[str]:
    ids = args.id or [str(row["id"]) for row in await _found(connection, args, MOST_REPLAYED)]
    replayed = 0
    for first in range(0, len(ids), PAGE):
        rows = queries.outbox.replay(connection, ids=ids[first : first + PAGE])
        replayed += len([row async for row in rows])
    client = valkey(settings.redis_url)
    with contextlib.suppress(RedisError, OSError, TimeoutError):  # a sender looks anyway, seconds later
        await client.publish(OUTBOX_CHANNEL, b"1")
    await client.aclose()
    left = len(ids) - replayed
    why = f"; {left} are left: their offer is over, their coupon was taken back, or they wait already" if left else ""
    return [f"{replayed} of {len(ids)} messages are in the outbox again{why}"]


async def _found(connection: Any, args: argparse.Namespace, most: int) -> list[Any]:
    rows = queries.outbox.dead_letters(
        connection, hours=args.hours, reason=args.reason, campaign=args.campaign, most=most
    )
    return [row async for row in rows]
