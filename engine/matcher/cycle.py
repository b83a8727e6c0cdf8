"""The matcher's heartbeat: read what the logs have, step each partition, commit what somebody waits for.

Two loops: one reads and steps, the other commits what was found, so that the next entries are stepped while the last
ones are on their way into PostgreSQL. One transaction at a time carries all partitions that somebody waits for;
positions without decisions move once a second. A partition is checkpointed right after a commit and stands still
meanwhile, so that its state is exactly what PostgreSQL has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence

import asyncpg
import structlog
from redis.asyncio import Redis

from engine import telemetry
from engine.errors import ServerError, Zombie
from engine.log.entries import Entry
from engine.log.keys import OUTBOX_CHANNEL, PARTITIONS
from engine.log.stream import Log
from engine.log.transitions import TransitionTeller
from engine.log.valkey import RedisError
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.commit import NotMine, Share, commit
from engine.matcher.decision import Decision, StepResult
from engine.matcher.recover import Owned
from engine.matcher.snapshots import Snapshots
from engine.matcher.step import pieces
from engine.postgres.pool import LOST
from engine.settings import Settings
from offers.snapshot import Snapshot

log = structlog.get_logger()

PAGE = 256
"""Entries a partition takes in one turn: bounds the time of a turn and the size of its transaction."""
BLOCK_MS = 250
IDLE_COMMIT_S = 1.0
CHECKPOINT_S = 5.0
SHORTEST_TURN_S = 0.015
"""Under a stream of single pings a turn takes what came meanwhile, instead of turning for each."""
FEW_SILENCES = 1_000
SILENCES_S = 5.0
"""So many reasons of campaigns are written with every commit; more, which are rows by the ten thousand, so often. A
matcher that is killed takes the counts of these seconds with it."""
BREATH_S = 0.01
"""How long partitions are stepped without letting go of the event loop: a commit under way has answers to read, and the
lock's session ends when it is silent."""
AWAY_S = 0.2
BROKEN_S = 1.0

_DONE = object()

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
        self._teller = TransitionTeller(client, bound_bytes=settings.transitions_bytes)
        self._snapshots = snapshots
        self._event_age_ms = settings.event_age_s * 1000
        self.coupon_key = b""
        self.owned: dict[int, Owned] = {}
        self._found: dict[int, StepResult] = {}
        self._committed_at: dict[int, float] = {}
        self._checkpointed_at: dict[int, float] = {}
        self._told_at: dict[int, float] = {}
        """Partition → when its silences were written."""
        self.starved: dict[int, set[int]] = {}
        """Partition → campaigns that held an offer back for want of a coupon; the keeper leases more."""
        self.low: dict[int, set[int]] = {}
        """Partition → campaigns whose block will be spent soon."""
        self.leaving: set[int] = set()
        """Partitions to hand over after this turn."""
        self._still: set[int] = set()
        """Partitions being checkpointed: nothing is stepped."""
        self._midway: dict[int, Iterator[None]] = {}
        """Partitions in the midst of a step: nothing more is read, and nothing committed."""
        self._stepped = asyncio.Event()

    def take(self, owned: Owned) -> None:
        """Begin to match a recovered partition."""
        p, now = owned.state.p, time.monotonic()
        self.owned[p] = owned
        self._found[p] = StepResult()
        self._committed_at[p] = self._checkpointed_at[p] = self._told_at[p] = now

    def drop(self, partitions: frozenset[int] | set[int], why: str) -> None:
        """Forget partitions with all that is not committed; recovery starts from what is."""
        for p in partitions & self.owned.keys():
            del self.owned[p], self._found[p]
            self._midway.pop(p, None)
            log.warning("partition.dropped", p=p, why=why)

    async def run(self, stop: asyncio.Event) -> None:
        """Match and commit until *stop*, then commit and checkpoint what is left."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._matching(stop))
            loops.create_task(self._settling(stop))
        await self.drain()

    async def _matching(self, over: asyncio.Event) -> None:
        try:
            while not over.is_set():
                started = time.monotonic()
                await self._guarded(self.match())
                self._stepped.set()
                await asyncio.sleep(max(0.0, SHORTEST_TURN_S - (time.monotonic() - started)))
        finally:
            over.set()
            self._stepped.set()

    async def _settling(self, over: asyncio.Event) -> None:
        try:
            while not over.is_set():
                await self._stepped.wait()
                self._stepped.clear()
                await self._guarded(self.settle())
        finally:
            over.set()  # a cancellation alone may be swallowed by the client that reads the log

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Whatever is not as it should be, recovery begins anew from what is committed."""
        try:
            await work
        except (RedisError, OSError) as error:  # the log is away; its facts must be appended anew
            self.drop(set(self.owned), f"log away: {type(error).__name__}")
            await asyncio.sleep(AWAY_S)
        except ServerError as error:
            self.drop(set(self.owned), str(error))
            await asyncio.sleep(BROKEN_S)

    async def turn(self) -> None:
        """One `match`, then `settle`."""
        await self.match()
        await self.settle()

    async def match(self) -> None:
        """Go on with what is stepped, a piece each; read what the other logs have and begin to step it."""
        with _STEP.time():
            await self._go_on()
        idle = self._still | self._midway.keys()
        after = {p: owned.state.position for p, owned in self.owned.items() if p not in idle}
        if not after:
            await asyncio.sleep(0.05 if not self.owned else 0.001)
            return
        found = await self._stream.read(after, count=PAGE, block_ms=1 if self._midway else BLOCK_MS)
        with _STEP.time():
            breathed = time.monotonic()
            for p, entries in found.items():
                snapshots = await self._known(p, entries)
                owned = self.owned.get(p)
                if owned is not None and p not in self._still and owned.state.position == after[p]:
                    self._step(owned, entries, snapshots)
                if time.monotonic() - breathed > BREATH_S:
                    await asyncio.sleep(0)
                    breathed = time.monotonic()
        await self._teller.tell()

    async def _go_on(self) -> None:
        for p in list(self._midway):
            if (rest := self._midway.get(p)) is not None and not self._goes_on(p, rest):
                self._midway.pop(p, None)
            await asyncio.sleep(0)

    def _goes_on(self, p: int, rest: Iterator[None]) -> bool:
        """Take the next piece of a step, and what it has to tell; whether there is more."""
        more = next(rest, _DONE) is not _DONE
        self._teller.take(self._found[p].transitions)
        self._found[p].transitions.clear()
        return more

    async def _known(self, p: int, entries: Sequence[Entry]) -> Mapping[int, Snapshot]:
        """The snapshots for a step; behind a takeover entries may name some that this process has not loaded yet."""
        try:
            return await self._snapshots.known(entries)
        except (*LOST, TimeoutError, asyncpg.PostgresError) as error:
            self.drop({p}, f"no snapshots: {type(error).__name__}")
            return {}

    def _step(self, owned: Owned, entries: Sequence[Entry], snapshots: Mapping[int, Snapshot]) -> None:
        p = owned.state.p
        rest = pieces(owned.state, entries, snapshots, self._found[p], event_age_ms=self._event_age_ms)
        if self._goes_on(p, rest):
            self._midway[p] = rest
        _MATCHED.inc(len(entries))

    async def settle(self) -> None:
        """Commit what is due, checkpoint the one partition that waits longest, hand over what is asked for."""
        await self.flush(self._due())
        await self._checkpoint_oldest()
        await self._leave()

    async def _leave(self) -> None:
        """Hand over partitions beyond our share: everything committed, the checkpoint as young as can be."""
        while self.leaving:
            p = self.leaving.pop()
            if p in self.owned and p not in self._midway:  # it is asked for again every second
                await self._tell([p])
                await self._checkpoint(p)
                self.drop({p}, "fair share")

    def _due(self) -> list[int]:
        """Partitions somebody waits for, and those whose position has not moved for a second."""
        late = time.monotonic() - IDLE_COMMIT_S
        return [
            p
            for p, owned in self.owned.items()
            if p not in self._midway
            and (self._found[p].urgent or (owned.state.position != owned.committed and self._committed_at[p] < late))
        ]

    async def flush(self, partitions: list[int]) -> None:
        """Commit the named partitions; those that have another owner are dropped, the rest is tried again."""
        shares = [self._share(p) for p in partitions if p in self.owned and p not in self._midway]
        await self._teller.tell()  # told before the position moves: never lost, in a crash told again
        while shares:
            try:
                with _COMMIT.time():
                    async with self._pool.acquire() as connection:
                        repeated = await commit(connection, shares, self.coupon_key)
            except NotMine as lost:
                self._drop_shares([share for share in shares if share.p in lost.partitions], "another owner")
                shares = [share for share in shares if share.p not in lost.partitions]
                continue
            except (*LOST, TimeoutError, asyncpg.PostgresError) as error:
                # Committed or not, the position in the database tells; recovery re-reads it.
                self._drop_shares(shares, f"commit failed: {type(error).__name__}")
                return
            await self._committed(shares, repeated)
            return

    async def _tell(self, partitions: list[int]) -> None:
        """Commit them with all silences."""
        self._told_at |= dict.fromkeys(partitions, -SILENCES_S)
        await self.flush(partitions)

    def _share(self, p: int) -> Share:
        """What was found so far; what is found from now on belongs to the next commit."""
        owned, found = self.owned[p], self._found[p]
        state = owned.state
        self._found[p] = StepResult()
        if len(found.silences) > FEW_SILENCES and time.monotonic() - self._told_at[p] < SILENCES_S:
            self._found[p].silences, found.silences = found.silences, self._found[p].silences
        else:
            self._told_at[p] = time.monotonic()
        moved = {decision.campaign.id for decision in found.decisions} | found.returned.keys()
        unwritten = frozenset(moved & state.blocks.unwritten)
        return Share(p, owned.epoch, owned.committed, state.position, state.fact_seq, found, unwritten)

    def _drop_shares(self, shares: Iterable[Share], why: str) -> None:
        """Drop what could not be committed; what was dropped and taken anew meanwhile is another ownership."""
        self.drop({share.p for share in shares if self._still_owned(share)}, why)

    def _still_owned(self, share: Share) -> bool:
        owned = self.owned.get(share.p)
        return owned is not None and owned.epoch == share.epoch

    async def _committed(self, shares: list[Share], repeated: frozenset[object]) -> None:
        written = set(repeated)
        for share in shares:
            if not self._still_owned(share):  # dropped meanwhile: recovery reads what was committed
                continue
            owned = self.owned[share.p]
            owned.committed = share.becomes
            owned.state.blocks.unwritten -= share.unwritten
            self._committed_at[share.p] = time.monotonic()
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
        self._found[owned.state.p].counted[decision.campaign.id, "decision.repeated"] += 1
        _REPEATED.inc()

    async def _checkpoint_oldest(self) -> None:
        """At most one partition a turn, so that no turn waits long."""
        waiting = self.owned.keys() - self._midway.keys()
        if not waiting:
            return
        p = min(waiting, key=lambda q: self._checkpointed_at[q])
        if time.monotonic() - self._checkpointed_at[p] >= CHECKPOINT_S:
            await self._checkpoint(p)

    async def _checkpoint(self, p: int) -> None:
        owned = self.owned[p]
        self._still.add(p)
        try:
            if owned.state.position != owned.committed:
                await self.flush([p])
            if self.owned.get(p) is owned:
                await self._checkpoints.save(owned.state, owned.epoch, owned.log_epoch)
                self._checkpointed_at[p] = time.monotonic()
        except Zombie as error:
            self.drop({p}, str(error))
        finally:
            self._still.discard(p)

    async def drain(self) -> None:
        """Commit everything found and checkpoint every partition; what fails is left to the next owner."""
        while self._midway:
            await self._go_on()
        await self._tell(list(self.owned))
        for p in list(self.owned):
            try:
                await self._checkpoint(p)
            except (RedisError, OSError) as error:
                log.warning("checkpoint.failed", p=p, why=type(error).__name__)
