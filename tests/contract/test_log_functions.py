"""The log on a real Valkey: what the functions refuse, what is trimmed, how many requests share an append."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import numpy as np
import pytest
from redis.asyncio import Redis

from engine.embedded.server import free_port
from engine.errors import Busy, Zombie
from engine.log import writer as writers
from engine.log.entries import EntryKind, PingBatch, Reclaim, SearchEvent
from engine.log.keys import PARTITIONS, SEQ_BITS, checkpoint_key, entry_id, head_key, log_key, meta_key, staged_key
from engine.log.stream import Log, OwnEntry
from engine.log.valkey import ResponseError, connect, load_functions
from engine.log.writer import LogWriter
from engine.matcher.checkpoint import Checkpoints, Head
from engine.matcher.state import State
from engine.matcher.step import step
from tests.reference.matcher_world import SNAPSHOTS, P, portrait, state
from tests.reference.matcher_world import Log as WrittenLog
from tests.reference.offers_world import NOW_MS

EPOCH = "this log"
PAYLOAD = b"x" * 100
SIZE = len(PAYLOAD) + 64
FAR = NOW_MS << SEQ_BITS
"""A position of today: beyond 2^53, where doubles skip integers."""


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    one = connect(redis_url)
    await load_functions(one)
    yield one
    await one.aclose()


@pytest.fixture
async def log(client: Redis) -> Log:
    """All partitions opened by their owners, under epoch 3 of P."""
    one = Log(client, offset_ms=0)
    for p in range(PARTITIONS):
        await one.open(p, 3, EPOCH)
    return one


def batch(*numbers: int) -> PingBatch:
    """One ping of each customer."""
    n = len(numbers)
    place = (np.full(n, 60.0), np.full(n, 24.0), np.full(n, 5.0, np.float32))
    return PingBatch(np.array(numbers, np.int64), *place, np.full(n, NOW_MS, np.int64))


async def append(client: Redis, bound: int = 0, *more: str) -> bytes:
    """An entry of SIZE bytes in P."""
    answer: bytes = await client.fcall("candlemaker_append", 2, log_key(P), meta_key(P), bound, "tick", PAYLOAD, *more)
    return answer


async def checkpoint(client: Redis, epoch: int, position: int, trim_below: str = "0") -> None:
    """Move P's head."""
    keys = (head_key(P), log_key(P), meta_key(P), checkpoint_key(P), staged_key(P))
    await client.fcall("candlemaker_checkpoint", 5, *keys, epoch, str(position), trim_below, EPOCH, 1)


async def put_aside(client: Redis, epoch: int, content: bytes) -> None:
    """Chunk 0 of a checkpoint that is being written."""
    await client.fcall("candlemaker_chunk", 2, head_key(P), staged_key(P), epoch, 0, content)


# ── append ──


async def test_nothing_is_appended_before_the_owner_opened_the_log(client: Redis) -> None:
    with pytest.raises(ResponseError, match="NOLOG"):
        await append(client)
    assert await client.exists(log_key(P)) == 0


async def test_an_owner_appends_only_to_the_log_it_means(client: Redis, log: Log) -> None:
    assert await log.append([OwnEntry(P, EPOCH, EntryKind.TICK), OwnEntry(P, "another", EntryKind.TICK)]) == [P]
    assert await client.xlen(log_key(P)) == 1


async def test_at_the_bound_traffic_is_refused_and_the_owner_is_not(client: Redis, log: Log) -> None:
    for _ in range(3):
        await append(client, 3 * SIZE)
    with pytest.raises(ResponseError, match="FULL"):
        await append(client, 3 * SIZE)
    assert await log.append([OwnEntry(P, EPOCH, EntryKind.RECLAIM, Reclaim(1, 1))]) == []
    assert await client.xlen(log_key(P)) == 4


async def test_what_is_trimmed_makes_room_for_as_much(client: Redis, log: Log) -> None:
    ids = [await append(client, 3 * SIZE) for _ in range(3)]
    third = ids[2].decode()
    await checkpoint(client, 3, FAR, third)
    meta = await client.hgetall(meta_key(P))
    assert (int(meta[b"total"]), int(meta[b"base"])) == (3 * SIZE, 2 * SIZE)
    for _ in range(2):
        await append(client, 3 * SIZE)
    with pytest.raises(ResponseError, match="FULL"):
        await append(client, 3 * SIZE)


async def test_a_log_trimmed_empty_holds_nothing(client: Redis, log: Log) -> None:
    await append(client)
    end = (NOW_MS + 10**12) << SEQ_BITS
    await checkpoint(client, 3, FAR, entry_id(end))
    meta = await client.hgetall(meta_key(P))
    assert meta[b"total"] == meta[b"base"] == str(SIZE).encode()
    status = await log.status(P)
    assert (status.epoch, status.trimmed) == (EPOCH, end - 1)
    assert FAR < status.last < status.trimmed, "how far it went is still known"


# ── checkpoint ──


async def test_only_the_last_claimant_checkpoints(client: Redis, log: Log) -> None:
    await checkpoint(client, 3, FAR)
    with pytest.raises(ResponseError, match="ZOMBIE"):
        await checkpoint(client, 2, FAR + 1)
    with pytest.raises(ResponseError, match="ZOMBIE"):
        await put_aside(client, 2, b"old")
    assert (await client.hget(head_key(P), "position"), await client.exists(staged_key(P))) == (b"%d" % FAR, 0)


async def test_chunks_count_from_their_head_on_and_not_before(client: Redis, log: Log) -> None:
    """A death between two chunks leaves the checkpoint as it was; its next owner begins with none put aside."""
    await put_aside(client, 3, b"first")
    await checkpoint(client, 3, FAR)
    await put_aside(client, 3, b"second")
    assert await client.hgetall(checkpoint_key(P)) == {b"0": b"first"}
    await Checkpoints(client).claim(P, 4)
    await checkpoint(client, 4, FAR + 1)
    assert await client.hgetall(checkpoint_key(P)) == {b"0": b"first"}


async def test_an_earlier_owner_does_not_replace_the_log(client: Redis, log: Log) -> None:
    await append(client)
    with pytest.raises(Zombie):
        await log.open(P, 2, "mine")
    assert await client.xlen(log_key(P)) == 1 and (await log.status(P)).epoch == EPOCH
    await log.open(P, 4, "new")
    assert await client.xlen(log_key(P)) == 0 and (await log.status(P)).epoch == "new"


@pytest.mark.parametrize("position", [FAR, (1 << 53) + 1, 10**15, 7])
async def test_positions_are_compared_to_the_last_bit(client: Redis, log: Log, position: int) -> None:
    """A double cannot tell these neighbours apart, and as text a longer number is not always the larger."""
    await checkpoint(client, 3, position)
    await checkpoint(client, 3, position)
    with pytest.raises(ResponseError, match="ZOMBIE"):
        await checkpoint(client, 3, position - 1)
    await checkpoint(client, 3, position + 1)
    await checkpoint(client, 3, position * 10)
    with pytest.raises(ResponseError, match="ZOMBIE"):
        await checkpoint(client, 3, position + 1)


async def test_a_checkpoint_loads_as_it_was_saved_and_trims_the_log(client: Redis, log: Log) -> None:
    told = WrittenLog()
    told.pings([0, 1], "street")
    told.wait(1_000)
    told.pings([0, 1, 2], "one")
    told.switch(3)
    saved, loaded = state(), State(P, snapshot=SNAPSHOTS[3], revision=3)
    step(saved, told.entries, SNAPSHOTS)
    last = await append(client)
    saved.position = int(last.split(b"-")[0]) << SEQ_BITS | int(last.split(b"-")[1])
    checkpoints = Checkpoints(client)
    await checkpoints.save(saved, 3, EPOCH)
    assert await checkpoints.head(P) == Head(saved.position, EPOCH, 3)
    await checkpoints.load(loaded)
    for name in ("fixes", "visits", "inside", "begun"):
        assert portrait_of_presence(loaded)[name] == portrait(saved)[name]
    assert loaded.begun.starts.fence.tolist() == saved.begun.starts.fence.tolist() != []
    assert await client.xlen(log_key(P)) == 0
    assert saved.presence.take_dirty() == []
    assert not saved.begun.dirty and not loaded.begun.dirty


def portrait_of_presence(one: State) -> dict[str, object]:
    """A loaded state has no consents of its own yet."""
    one.reserve(4)
    return portrait(one)


async def test_a_refused_checkpoint_leaves_the_state_dirty(client: Redis, log: Log) -> None:
    told = WrittenLog()
    told.pings([0], "one")
    told.switch(3)
    zombie = state()
    step(zombie, told.entries, SNAPSHOTS)
    with pytest.raises(Zombie):
        await Checkpoints(client).save(zombie, 2, EPOCH)
    assert zombie.presence.take_dirty() == [0]
    assert zombie.begun.dirty


# ── the API's writer ──


async def test_many_requests_share_one_append_a_partition(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=2.0)
    await asyncio.gather(*(writer.pings(batch(n, n + PARTITIONS)) for n in range(3 * PARTITIONS)))
    lengths = [await client.xlen(log_key(p)) for p in range(PARTITIONS)]
    assert lengths == [1] * PARTITIONS
    found = await log.read(dict.fromkeys(range(PARTITIONS), 0), count=10, block_ms=10)
    numbers = [int(n) for p in range(PARTITIONS) for entry in found[p] for n in entry.payload.number]  # type: ignore[union-attr] # all are pings
    assert sorted(numbers) == sorted([*range(3 * PARTITIONS), *range(PARTITIONS, 4 * PARTITIONS)])
    assert all(int(n) % PARTITIONS == p for p in found for n in found[p][0].payload.number)  # type: ignore[union-attr]


async def test_who_comes_within_the_group_s_time_shares_its_append(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=100.0)
    first = asyncio.create_task(writer.pings(batch(P)))
    await asyncio.sleep(0.02)
    await asyncio.gather(first, writer.ping((P, 60.0, 24.0, 5.0, NOW_MS)))
    assert await client.xlen(log_key(P)) == 1


async def test_a_search_is_an_entry_of_its_own(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=2.0)
    event = SearchEvent(uuid4(), P, 60.0, 24.0, NOW_MS, [4], ["Bee"], ["candles"])
    await asyncio.gather(writer.search(event), writer.pings(batch(P)))
    found = await log.read({P: 0}, count=10, block_ms=10)
    assert [(entry.kind, len(found[P])) for entry in found[P]] == [("pings", 2), ("search", 2)]
    assert found[P][1].payload == event


async def test_the_writer_says_busy_at_the_bound(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=200, group_ms=0.0)
    await writer.pings(batch(P))
    with pytest.raises(Busy) as refused:
        await writer.pings(batch(*[P] * 10))
    assert refused.value.retry_after_s >= 1
    assert await client.xlen(log_key(P)) == 1


async def test_the_writer_says_busy_while_the_log_has_no_owner(client: Redis) -> None:
    with pytest.raises(Busy):
        await LogWriter(client, bound_bytes=1 << 20, group_ms=0.0).pings(batch(P))


async def test_the_writer_says_busy_while_valkey_is_away() -> None:
    nobody = connect(f"redis://127.0.0.1:{free_port()}/0")
    writer = LogWriter(nobody, bound_bytes=1 << 20, group_ms=0.0)
    for _ in range(2):
        with pytest.raises(Busy):
            await writer.pings(batch(P))
    await nobody.aclose()


async def test_the_writer_bounds_what_waits(client: Redis, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MAX_WAITING_PINGS", 3)
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=1.0)
    waiting = asyncio.create_task(writer.pings(batch(P, P)))
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="waiting"):
        await writer.pings(batch(P, P))
    await waiting
    await writer.pings(batch(P, P))


async def test_the_writer_brings_the_functions_to_a_server_that_came_back_empty(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=0.0)
    await client.function_delete("candlemaker")
    with pytest.raises(Busy):
        await writer.pings(batch(P))
    await writer.pings(batch(P))


async def test_a_cancelled_request_disturbs_nobody(client: Redis, log: Log) -> None:
    writer = LogWriter(client, bound_bytes=1 << 20, group_ms=2.0)
    first, second = (asyncio.create_task(writer.pings(batch(P))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    entry = (await log.read({P: 0}, count=10, block_ms=10))[P][0]
    assert isinstance(entry.payload, PingBatch) and len(entry.payload) == 2


async def test_entries_come_in_pages_with_the_engine_time(client: Redis, log: Log) -> None:
    ahead = Log(client, offset_ms=86_400_000)
    for _ in range(5):
        await log.append([OwnEntry(P, EPOCH, EntryKind.TICK)])
    first = (await ahead.read({P: 0}, count=3, block_ms=10))[P]
    rest = (await ahead.read({P: first[-1].position}, count=3, block_ms=10))[P]
    assert [len(first), len(rest)] == [3, 2]
    assert all(entry.log_ms == (entry.position >> SEQ_BITS) + 86_400_000 for entry in first + rest)
    assert await ahead.read({P: rest[-1].position}, count=3, block_ms=1) == {}
