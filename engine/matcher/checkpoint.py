"""Checkpoints: dirty chunks of presence, and what began lately, into Valkey, then a head naming their position.

Only what PostgreSQL has committed is checkpointed, so everything behind the head can be replayed without deciding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from engine.log.keys import checkpoint_key, entry_id, head_key, log_key, meta_key, staged_key
from engine.log.valkey import owned
from engine.matcher.state import State
from geo.checkpoint import pack, unpack

BEGUN = b"begun"
"""In place of a chunk's number: the campaigns that began lately."""

APPROACHES = b"approach:"
"""Before a chunk's number: who approaches what."""


@dataclass(frozen=True)
class Head:
    """What a checkpoint stands for: the state at *position* of the log *log_epoch*, under snapshot *revision*."""

    position: int
    log_epoch: str
    revision: int


class Checkpoints:
    """The checkpoints of all partitions on one server; *epoch* in every call is the caller's ownership."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def claim(self, p: int, epoch: int) -> None:
        """Refuse earlier owners from now on. Zombie: a later owner was here first."""
        await self._call("candlemaker_claim", [head_key(p), staged_key(p)], [epoch])

    async def head(self, p: int) -> Head | None:
        """The last checkpoint's head, None where there is none."""
        head = await self._bytes(head_key(p))
        if b"position" not in head:
            return None
        return Head(int(head[b"position"]), head[b"log_epoch"].decode(), int(head[b"revision"]))

    async def load(self, state: State) -> None:
        """Put the checkpointed presence, and what began lately, into *state*, whose snapshot is the head's."""
        chunks = await self._bytes(checkpoint_key(state.p))
        begun = chunks.pop(BEGUN, None)
        for number, content in chunks.items():
            if number.startswith(APPROACHES):
                state.approaches.unpack(int(number.removeprefix(APPROACHES)), content)
            else:
                unpack(state.presence, state.snapshot.fences, int(number), content)
        state.presence.take_dirty()
        state.settling = state.settling.going_on(state.presence)
        state.pings.rebuild()
        if begun is not None:
            state.begun.unpack(begun, state.snapshot)

    async def save(self, state: State, epoch: int, log_epoch: str) -> None:
        """Put aside what changed since the last save; then, in one step, make it part of the checkpoint, move the head
        to the state's position and trim the log up to it.

        Zombie: a later owner has claimed the partition; nothing of ours counts."""
        p = state.p
        dirty, begun = state.presence.take_dirty(), state.begun.dirty
        state.begun.dirty = False
        try:
            for number in dirty:
                content = pack(state.presence, state.snapshot.fences, number)
                await self._call("candlemaker_chunk", [head_key(p), staged_key(p)], [epoch, number, content])
                if len(state.approaches.trends):
                    name, content = APPROACHES + b"%d" % number, state.approaches.pack(number)
                    await self._call("candlemaker_chunk", [head_key(p), staged_key(p)], [epoch, name, content])
            if begun:
                await self._call("candlemaker_chunk", [head_key(p), staged_key(p)], [epoch, BEGUN, state.begun.pack()])
            trim_below = entry_id(state.position + 1)
            await self._call(
                "candlemaker_checkpoint",
                [head_key(p), log_key(p), meta_key(p), checkpoint_key(p), staged_key(p)],
                [epoch, state.position, trim_below, log_epoch, state.revision],
            )
        except BaseException:
            state.presence.dirty[dirty] = True
            state.begun.dirty = state.begun.dirty or begun
            raise

    async def _bytes(self, key: str) -> dict[bytes, bytes]:
        """A hash; our clients answer bytes, which redis-py's types leave open."""
        return cast("dict[bytes, bytes]", await self._client.hgetall(key))

    async def _call(self, function: str, keys: list[str], arguments: list[object]) -> None:
        await owned(self._client.fcall(function, len(keys), *keys, *arguments))
