"""The matcher's heartbeat: read what the logs have, step each partition, commit what somebody waits for.

One transaction carries all partitions of a turn. Turns without decisions move their positions once a second. A
partition is checkpointed right after a commit, when its state is exactly what PostgreSQL has.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg
import structlog
from redis.asyncio import Redis

from engine import telemetry
from engine.errors import ServerError, Zombie
from engine.log.keys import OUTBOX_CHANNEL, PARTITIONS
from engine.log.stream import Log
from engine.log.valkey import RedisError
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.commit import NotMine, Share, commit
from engine.matcher.decision import Decision, StepResult
from engine.matcher.recover import Owned
from engine.matcher.snapshots import Snapshots
from engine.matcher.step import step
from engine.postgres.pool import LOST
from engine.settings import Settings

log = structlog.get_logger()

PAGE = 256
"""Entries a partition takes in one turn: bounds the time of a turn and the size of its transaction."""
BLOCK_MS = 250
IDLE_COMMIT_S = 1.0
CHECKPOINT_S = 5.0
SHORTEST_TURN_S = 0.01
"""Under a stream of single pings a turn takes what came meanwhile, instead of turning for each."""

_MATCHED = telemetry.counter("matcher_entries", "log entries matched")
_DECIDED = telemetry.counter("matcher_decisions", "decisions committed")
_REPEATED = telemetry.counter("matcher_repeated", "decisions that were in the database already")
_STEP = telemetry.histogram("matcher_step_seconds", "one turn's steps, all partitions")
_COMMIT = telemetry.histogram("matcher_commit_seconds", "one decision transaction")


class Cycle:
    """The partitions this process owns, and what is found but not committed yet."""

    def __init__(
        self, pool: asyncpg.Pool, stream: Log, client: Redis, snapshots: Snapshots, settings: Settings
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._client = client
        self._checkpoints = Checkpoints(client)
        self._snapshots = snapshots
        self._event_age_ms = settings.event_age_s * 1000
        self.coupon_key = b""
        self.owned: dict[int, Owned] = {}
        self._found: dict[int, StepResult] = {}
        self._committed_at: dict[int, float] = {}
        self._checkpointed_at: dict[int, float] = {}
        self.starved: dict[int, set[int]] = {}
        """Partition → campaigns that held an offer back for want of a coupon; the keeper leases more."""
        self.low: dict[int, set[int]] = {}
        """Partition → campaigns whose block will be spent soon."""
        self.leaving: set[int] = set()
        """Partitions to hand over after this turn."""

    def take(self, owned: Owned) -> None:
        """Begin to match a recovered partition."""
        p, now = owned.state.p, time.monotonic()
        self.owned[p] = owned
        self._found[p] = StepResult()
        self._committed_at[p] = self._checkpointed_at[p] = now

    def drop(self, partitions: frozenset[int] | set[int], why: str) -> None:
        """Forget partitions with all that is not committed; recovery starts from what is."""
        for p in partitions & self.owned.keys():
            del self.owned[p], self._found[p]
            log.warning("partition.dropped", p=p, why=why)

    async def run(self, stop: asyncio.Event) -> None:
        """Turn until *stop*, then commit and checkpoint what is left."""
        while not stop.is_set():
            started = time.monotonic()
            try:
                await self.turn()
            except (RedisError, OSError) as error:  # the log is away; its facts must be appended anew
                self.drop(set(self.owned), f"log away: {type(error).__name__}")
                await asyncio.sleep(0.2)
            except ServerError as error:
                self.drop(set(self.owned), str(error))
                await asyncio.sleep(1.0)
            await asyncio.sleep(max(0.0, SHORTEST_TURN_S - (time.monotonic() - started)))
        await self.drain()

    async def turn(self) -> None:
        """Read, step, commit, and checkpoint the one partition that waits longest."""
        if not self.owned:
            await asyncio.sleep(0.05)
            return
        after = {p: owned.state.position for p, owned in self.owned.items()}
        found = await self._stream.read(after, count=PAGE, block_ms=BLOCK_MS)
        with _STEP.time():
            for p, entries in found.items():
                owned = self.owned.get(p)
                if owned is not None and owned.state.position == after[p]:
                    result = step(owned.state, entries, self._snapshots.loaded, event_age_ms=self._event_age_ms)
                    self._found[p].absorb(result)
                    _MATCHED.inc(len(entries))
        await self.flush(self._due())
        await self._checkpoint_oldest()
        await self._leave()

    async def _leave(self) -> None:
        """Hand over partitions beyond our share: everything committed, the checkpoint as young as can be."""
        while self.leaving:
            p = self.leaving.pop()
            if p in self.owned:
                await self._checkpoint(p)
                self.drop({p}, "fair share")

    def _due(self) -> list[int]:
        """Partitions somebody waits for, and those whose position has not moved for a second."""
        late = time.monotonic() - IDLE_COMMIT_S
        return [
            p
            for p, owned in self.owned.items()
            if self._found[p].urgent or (owned.state.position != owned.committed and self._committed_at[p] < late)
        ]

    async def flush(self, partitions: list[int]) -> None:
        """Commit the named partitions; those that have another owner are dropped, the rest is tried again."""
        while partitions := [p for p in partitions if p in self.owned]:
            shares = [self._share(p) for p in partitions]
            try:
                with _COMMIT.time():
                    async with self._pool.acquire() as connection:
                        repeated = await commit(connection, shares, self.coupon_key)
            except NotMine as lost:
                self.drop(lost.partitions, "another owner")
                continue
            except (*LOST, TimeoutError, asyncpg.PostgresError) as error:
                # Committed or not, the position in the database tells; recovery re-reads it.
                self.drop(set(partitions), f"commit failed: {type(error).__name__}")
                return
            await self._committed(shares, repeated)
            return

    def _share(self, p: int) -> Share:
        owned = self.owned[p]
        state = owned.state
        return Share(p, owned.epoch, owned.committed, state.position, state.fact_seq, self._found[p])

    async def _committed(self, shares: list[Share], repeated: frozenset[object]) -> None:
        written = set(repeated)
        for share in shares:
            owned = self.owned.get(share.p)
            if owned is None or owned.epoch != share.epoch:  # dropped meanwhile: recovery reads what was committed
                continue
            owned.committed = share.becomes
            self._committed_at[share.p] = time.monotonic()
            self._found[share.p] = StepResult()
            self.starved.setdefault(share.p, set()).update(share.result.starved)
            self.low.setdefault(share.p, set()).update(share.result.low)
            for decision in share.result.decisions:
                if decision.id in written:
                    self._undo(owned, decision)
                else:
                    written.add(decision.id)
                    _DECIDED.inc()
        if len(written) > len(repeated):
            await self._client.publish(OUTBOX_CHANNEL, b"1")

    def _undo(self, owned: Owned, decision: Decision) -> None:
        """The decision was there before and wrote nothing: its cap and its budget were not used."""
        owned.state.caps.give_back(decision.number // PARTITIONS, decision.campaign.id, decision.logged_ms)
        owned.state.blocks.refund(decision.campaign.id)
        self._found[owned.state.p].tally[decision.campaign.id, "decision.repeated"] += 1
        _REPEATED.inc()

    async def _checkpoint_oldest(self) -> None:
        """At most one partition a turn, so that no turn waits long."""
        if not self.owned:
            return
        p = min(self.owned, key=lambda q: self._checkpointed_at[q])
        if time.monotonic() - self._checkpointed_at[p] >= CHECKPOINT_S:
            await self._checkpoint(p)

    async def _checkpoint(self, p: int) -> None:
        owned = self.owned[p]
        if owned.state.position != owned.committed:
            await self.flush([p])
        if self.owned.get(p) is not owned:
            return
        try:
            await self._checkpoints.save(owned.state, owned.epoch, owned.log_epoch)
        except Zombie as error:
            self.drop({p}, str(error))
        else:
            self._checkpointed_at[p] = time.monotonic()

    async def drain(self) -> None:
        """Commit everything found and checkpoint every partition; what fails is left to the next owner."""
        await self.flush(list(self.owned))
        for p in list(self.owned):
            try:
                await self._checkpoint(p)
            except (RedisError, OSError) as error:
                log.warning("checkpoint.failed", p=p, why=type(error).__name__)
