"""POST /v1/pings: decoded once, checked as columns, appended to the log, then acknowledged.

The fast path is one msgspec decode, one pass for the ids, and numpy for the rest: a few microseconds a ping. Whatever a
fault is, it is looked for again slowly and told in full.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import astuple
from numpy.typing import NDArray

from engine.directory.consents import BITS, LOCATION
from engine.directory.directory import UNKNOWN
from engine.http import metrics
from engine.http.call import Call, Reply
from engine.http.codec import JSON, Codec, Rows
from engine.http.decode import faulty
from engine.http.outcome import outcome
from engine.http.wire import Instant, Lat, Lng, Refusal
from engine.log.entries import PingBatch, PingRow

MOST_PINGS: Final = 5_000
LIMIT_BYTES: Final = 4 << 20
OLDEST_MS: Final = 3_600_000
AHEAD_MS: Final = 60_000
WORST_ACCURACY_M: Final = 5_000.0
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NAN = float("nan")
_timestamp = datetime.datetime.timestamp
_FAR_M = 1e9  # beyond any accuracy, within float32
# Checked in this order; the first that holds is the reason.
REASONS: Final = (
    "unknown_customer", "not_yours", "no_consent", "null_island", "bad_accuracy", "too_old", "in_future",
)  # fmt: skip


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One position report of a phone. Positions are kept in memory and a short log only."""

    customer: Annotated[str, Meta(min_length=1, max_length=128)]
    lat: Lat
    lng: Lng
    at: Instant
    accuracy_m: Annotated[float, Meta(description="68 % radius as the phone says; null: unknown.")] | None = None

    def __repr__(self) -> str:  # positions stay out of logs and tracebacks
        return "Ping()"


class Pings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch, in any order; every row is judged by itself."""

    pings: Annotated[list[Ping], Meta(min_length=1, max_length=MOST_PINGS)]


_ONE = Reply(202, b'{"accepted":1,"refused":[]}')
_NAMES: Final = ("customer", "lat", "lng", "at")


async def post_pings(call: Call, body: bytes) -> Reply:
    """Append what may be appended; 202 with the refused rows, or the problem when none was accepted."""
    pings, single = decode_pings(body, call.codec)
    if single:
        return await _post_one(call, pings[0])
    entries = await call.services.directory.look_up([ping.customer for ping in pings])
    batch = columns(pings, entries >> BITS)
    reasons = judge(batch, entries, call.now_ms, call.caller.number)
    good = np.flatnonzero(reasons == 0)
    if len(good):
        await call.services.writer.pings(batch if len(good) == len(batch) else batch.take(good))
        metrics.pings_accepted.inc(len(good))
    if len(good) == len(batch):
        return Reply(202, b'{"accepted":%d,"refused":[]}' % len(good))
    refused = [Refusal(int(row) + 1, REASONS[reasons[row] - 1]) for row in np.flatnonzero(reasons)]
    for refusal in refused:
        metrics.pings_refused.labels(refusal.code).inc()
    return Reply(202, msgspec.json.encode(outcome(len(good), refused, False)))


async def _post_one(call: Call, ping: Ping) -> Reply:
    """One ping without the cost of columns of one row each."""
    directory = call.services.directory
    entry = directory.known(ping.customer)
    if entry is None:
        entry = int((await directory.look_up([ping.customer]))[0])
    reason = judge_one(ping, entry, call.now_ms, call.caller.number)
    if reason:
        refusal = Refusal(1, REASONS[reason - 1])
        metrics.pings_refused.labels(refusal.code).inc()
        return Reply(202, msgspec.json.encode(outcome(0, [refusal], True)))
    await call.services.writer.ping(row(ping, entry >> BITS))
    metrics.pings_accepted.inc()
    return _ONE


def decode_pings(body: bytes, codec: Codec = JSON) -> tuple[Sequence[Ping], bool]:
    """(pings, whether the body was a single one); raise `Problem` telling all faults."""
    batch = codec.is_batch(body, "pings")
    kind = Pings if batch else Ping
    try:
        decoded = codec.decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise faulty(kind, body, "pings" if batch else "", error, codec) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise codec.malformed(error) from None
    pings: Sequence[Ping] = decoded.pings if batch else (decoded,)
    if not codec.surely_strict(body, decoded, _rows(pings, codec, batch)):
        codec.require_strict(body)
    return pings, not batch


def _rows(pings: Sequence[Ping], codec: Codec, batch: bool) -> Rows:
    accuracies = [ping.accuracy_m for ping in pings if ping.accuracy_m is not None]
    # Without escapes JSON can say neither NaN nor NUL.
    sound = codec is JSON or (isfinite(sum(accuracies)) and "\0" not in "".join([ping.customer for ping in pings]))
    return Rows(len(pings), _NAMES, 2, ("accuracy_m",), len(accuracies), "pings" if batch else "", sound)


def columns(pings: Sequence[Ping], number: NDArray[np.int64]) -> PingBatch:
    """The pings as the log's columns; an accuracy that is unknown is NaN."""
    _, lat, lng, at, accuracy = zip(*map(astuple, pings), strict=True)
    if None in accuracy:
        accuracy = tuple(_NAN if one is None else one for one in accuracy)
    return PingBatch(
        number,
        np.array(lat, np.float64),
        np.array(lng, np.float64),
        np.clip(np.array(accuracy, np.float64), -_FAR_M, _FAR_M).astype(np.float32),
        np.rint(np.array(list(map(_timestamp, at)), np.float64) * 1000.0).astype(np.int64),
    )


def judge(batch: PingBatch, entries: NDArray[np.int64], now_ms: int, mine: int) -> NDArray[np.int8]:
    """i1[n]: 0 for a ping to append, else 1 + index into `REASONS`. *mine* is a token's customer, -1 for a key."""
    # A token learns nothing about who else exists: everybody else is `not_yours`.
    foreign = batch.number != mine if mine >= 0 else np.zeros(len(batch), bool)
    faults = (
        (entries == UNKNOWN) & ~foreign,
        foreign,
        (entries & LOCATION) == 0,
        (batch.lat == 0.0) & (batch.lng == 0.0),
        (batch.accuracy_m < 0.0) | (batch.accuracy_m > WORST_ACCURACY_M),
        batch.at_ms < now_ms - OLDEST_MS,
        batch.at_ms > now_ms + AHEAD_MS,
    )
    reasons = np.zeros(len(batch), np.int8)
    for index in range(len(faults) - 1, -1, -1):
        reasons[faults[index]] = index + 1
    return reasons


def row(ping: Ping, number: int) -> PingRow:
    """`columns` of one ping."""
    accuracy_m = _NAN if ping.accuracy_m is None else ping.accuracy_m
    return number, ping.lat, ping.lng, accuracy_m, _at_ms(ping)


def judge_one(ping: Ping, entry: int, now_ms: int, mine: int) -> int:
    """`judge` of one ping; the unit tests hold them against each other."""
    if mine >= 0 and entry >> BITS != mine:
        return 2
    if entry == UNKNOWN:
        return 1
    return _judge_position(ping, now_ms) if entry & LOCATION else 3


def _judge_position(ping: Ping, now_ms: int) -> int:
    if ping.lat == 0.0 and ping.lng == 0.0:
        return 4
    if ping.accuracy_m is not None and not 0.0 <= ping.accuracy_m <= WORST_ACCURACY_M and _bad(ping.accuracy_m):
        return 5
    at_ms = _at_ms(ping)
    if at_ms < now_ms - OLDEST_MS:
        return 6
    return 7 if at_ms > now_ms + AHEAD_MS else 0


def _bad(accuracy_m: float) -> bool:
    """As the log's float32 has it, so that both judges see the same value."""
    return not 0.0 <= float(np.float32(max(-_FAR_M, min(accuracy_m, _FAR_M)))) <= WORST_ACCURACY_M


def _at_ms(ping: Ping) -> int:
    return round((ping.at - _EPOCH).total_seconds() * 1000.0)
