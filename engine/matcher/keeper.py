"""The owner's housekeeping beside the cycle: who owns what, facts, ticks, snapshot switches, budget blocks.

Everything the keeper learns reaches the state through the log; it never touches a state itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog

from engine.errors import ServerError, Zombie
from engine.log.entries import EntryKind, Fact, Payload, Reclaim, Switch
from engine.log.keys import PARTITIONS
from engine.log.stream import Log, OwnEntry
from engine.log.valkey import RedisError
from engine.matcher.begun import unprovided
from engine.matcher.cycle import Cycle
from engine.matcher.grants import lease, needed, to_return
from engine.matcher.ownership import Ownership
from engine.matcher.recover import Owned, Recovery
from engine.matcher.retention import CLEAN_EVERY_S, clean
from engine.matcher.snapshots import Snapshots
from engine.postgres import queries
from engine.postgres.pool import LOST

log = structlog.get_logger()

FACTS_EVERY_S = 0.1
"""How long a fact may wait for its log entry: a stop must bite within a second."""
SWITCH_EVERY_S = 0.1
TICK_EVERY_S = 1.0
COMPILE_EVERY_S = 0.1

_AWAY = (*LOST, TimeoutError, asyncpg.PostgresError, RedisError, ServerError)


class Keeper:
    """Runs the cycle and keeps it supplied."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        stream: Log,
        recovery: Recovery,
        snapshots: Snapshots,
        cycle: Cycle,
        ownership: Ownership,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._recovery = recovery
        self._snapshots = snapshots
        self._cycle = cycle
        self._ownership = ownership
        self._one_at_a_time = asyncio.Lock()
        self._switched: dict[int, int] = {}
        self._asked_at: dict[tuple[int, int], float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*; then drain the cycle and give every partition up.

        What no chore expects ends the process: a supervisor starts it again, from what is committed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                chores = [
                    tasks.create_task(self._every(FACTS_EVERY_S, self.facts, stop)),
                    tasks.create_task(self._every(SWITCH_EVERY_S, self.switches_and_budgets, stop)),
                    tasks.create_task(self._every(TICK_EVERY_S, self.ownership_and_ticks, stop)),
                    tasks.create_task(self._every(COMPILE_EVERY_S, self._snapshots.compile_if_changed, stop)),
                    tasks.create_task(self._every(CLEAN_EVERY_S, self._clean, stop)),
                ]
                await self._cycle.run(stop)
                for chore in chores:
                    chore.cancel()
        finally:
            await self._ownership.close()

    async def _every(self, period_s: float, chore: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Repeat *chore*; a server that is away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await chore()
                except _AWAY as error:
                    log.warning("keeper.waits", chore=chore.__name__, why=f"{type(error).__name__}: {error}")
                    await asyncio.sleep(min(1.0, 5 * period_s))
                await asyncio.sleep(period_s)
        finally:
            stop.set()  # nobody goes on without the others

    async def _clean(self) -> None:
        await clean(self._pool, self._snapshots.folder)
        await self._stream.rewrite()

    # ── ownership, ticks ─────────────────────────────────────────────────────────────────────────────────────

    async def ownership_and_ticks(self) -> None:
        """Hold a fair share of the partitions; one tick a second into each of their logs."""
        if not await self._ownership.alive():
            self._cycle.drop(set(self._cycle.owned), "lock session lost")
            await self._ownership.open()
        share = await self._ownership.fair_share()
        await self._give_up_beyond(share)
        await self._take_up_to(share)
        await self._append([_entry(owned, EntryKind.TICK) for owned in self._cycle.owned.values()])

    async def _give_up_beyond(self, share: int) -> None:
        """Ask the cycle to finish what is beyond our share; unlock what it has finished."""
        beyond = set(sorted(self._ownership.held)[share:])
        self._cycle.leaving = beyond & self._cycle.owned.keys()
        for p in beyond - self._cycle.owned.keys():
            await self._ownership.unlock(p)

    async def _take_up_to(self, share: int) -> None:
        if len(self._cycle.owned) < share:
            await self._stream.prepare()
        for p in set(range(PARTITIONS)) - self._ownership.held:
            if len(self._ownership.held) < share:
                await self._ownership.try_lock(p)
        # Side by side: a takeover mostly waits for the two servers, and every partition's pings wait for it.
        await asyncio.gather(*(self._take(p) for p in self._ownership.held - self._cycle.owned.keys()))

    async def _append(self, entries: Sequence[OwnEntry]) -> None:
        """Append to the partitions' logs; one whose log is gone is dropped, and taken anew with a new log."""
        if entries:
            lost = await self._stream.append(entries)
            self._cycle.drop(set(lost), "its log is gone")

    async def _take(self, p: int) -> None:
        try:
            owned = await self._recovery.take_over(p)
        except Zombie:
            await self._ownership.unlock(p)
            return
        self._switched[p] = owned.state.revision
        self._cycle.take(owned)

    # ── facts, switches, budgets ─────────────────────────────────────────────────────────────────────────────

    async def facts(self) -> None:
        """Append the facts that PostgreSQL has above those appended so far."""
        async with self._one_at_a_time:
            await self._facts()

    async def _facts(self) -> None:
        owned = dict(self._cycle.owned)
        if not owned:
            return
        after = [one.facts_appended for one in owned.values()]
        pages: dict[int, list[Fact]] = {}
        async for row in queries.matcher.facts_after(self._pool, p=list(owned), after=after):
            pages.setdefault(row["p"], []).append(Fact(row["seq"], row["kind"], row["payload"]))
        await self._append([_entry(owned[p], EntryKind.FACTS, facts) for p, facts in pages.items()])
        for p, facts in pages.items():
            owned[p].facts_appended = facts[-1].seq

    async def switches_and_budgets(self) -> None:
        """A new snapshot reaches a partition behind the blocks that were leased for it."""
        revision = await self._snapshots.refresh()
        behind = [owned for p, owned in self._cycle.owned.items() if self._switched.get(p, 0) < revision]
        for owned in behind:
            await self._lease_new(owned, revision)
            await asyncio.sleep(0)  # where nothing is to be leased, nothing was waited for
        if behind:
            await self.facts()
            await self._append([_entry(owned, EntryKind.SWITCH, Switch(revision)) for owned in behind])
            self._switched |= {owned.state.p: revision for owned in behind}
        await self._feed_starved()

    async def _lease_new(self, owned: Owned, revision: int) -> None:
        """A first block of every campaign the snapshot brings, and enough for those whom its starts will meet."""
        new = self._snapshots.loaded[revision]
        needs, known = needed(owned.state, new), owned.state.blocks
        unknown = {c for c in unprovided(owned.state.snapshot, new) if not known.granted(c)}
        await lease(self._pool, owned.state.p, unknown | needs.keys(), starving=False, needs=needs)

    async def _feed_starved(self) -> None:
        """More for blocks that run low; from those who do not spend, when the budget has no more."""
        starving = {row["campaign"] async for row in queries.matcher.starving_budgets(self._pool)}
        for p, owned in list(self._cycle.owned.items()):
            starved = {c for c in self._cycle.starved.pop(p, set()) if self._may_ask(p, c)}
            low = {c for c in self._cycle.low.pop(p, set()) if self._may_ask(p, c)}
            await lease(self._pool, p, low - starved, starving=False)
            await lease(self._pool, p, starved, starving=True)
            for campaign, coupons in to_return(owned.state.blocks, starving - starved).items():
                if self._may_ask(p, -campaign):
                    await self._append([_entry(owned, EntryKind.RECLAIM, Reclaim(campaign, coupons))])

    def _may_ask(self, p: int, campaign: int) -> bool:
        """Once a second for each partition and campaign: an exhausted budget is not asked in every turn."""
        now = time.monotonic()
        if now - self._asked_at.get((p, campaign), 0.0) < 1.0:
            return False
        self._asked_at[p, campaign] = now
        return True


def _entry(owned: Owned, kind: EntryKind, payload: Payload = None) -> OwnEntry:
    return OwnEntry(owned.state.p, owned.log_epoch, kind, payload)
