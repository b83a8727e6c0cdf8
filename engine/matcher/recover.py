"""Taking over a partition: PostgreSQL says what was decided, the checkpoint and the log say who was where.

Up to the committed position nothing is decided again: the entries between the checkpoint and that position move
presence only. What rests on facts (consents, caps, budget, history) is read from the tables, in one snapshot.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import asyncpg
import structlog

from engine.errors import Zombie
from engine.log.keys import PARTITIONS
from engine.log.stream import Log
from engine.matcher.begun import NOTHING, set_aside
from engine.matcher.checkpoint import Checkpoints, Head
from engine.matcher.grants import lease
from engine.matcher.rules import rules_of
from engine.matcher.snapshots import Snapshots
from engine.matcher.state import LOCATION, State
from engine.matcher.step import step
from engine.postgres import queries
from engine.settings import Settings
from geo.settling import Settling

log = structlog.get_logger()

AFTER_RESET_MS = 600_000
"""After a lost log, first fixes inside a fence make no offers for this long: presence is unknown, not empty."""
REPLAY_PAGE = 5_000


@dataclass
class Owned:
    """A partition this process owns: its state, the epoch that proves it, and how far its facts are appended."""

    state: State
    epoch: int
    log_epoch: str
    committed: int
    """Position in PostgreSQL; the state may be ahead by what is not committed yet."""
    facts_appended: int = 0


class Recovery:
    """Turns a partition whose lock we hold into an `Owned` one."""

    def __init__(
        self, pool: asyncpg.Pool, stream: Log, checkpoints: Checkpoints, snapshots: Snapshots, settings: Settings
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._checkpoints = checkpoints
        self._snapshots = snapshots
        self._event_age_ms = settings.event_age_s * 1000
        self._rules, self._late_ms = rules_of(settings), settings.fence_late_s * 1000

    async def take_over(self, p: int) -> Owned:
        """Raise the epoch, shut earlier owners out of the checkpoint, rebuild the state."""
        row = await queries.matcher.take_over(self._pool, p=p)
        epoch: int = row["epoch"]
        await self._checkpoints.claim(p, epoch)
        head = await self._checkpoints.head(p)
        if await self._log_was_lost(p, row, head):
            row = await self._open_log(p, epoch)
            head = None
        newest = await self._first_blocks(p)
        state = await self._load(p)
        reset_at = row["reset_at"]
        state.reset_until_ms = int(reset_at.timestamp() * 1000) + AFTER_RESET_MS if reset_at else 0
        await self._presence(state, head, row["position"], newest)
        if head is None:  # else a successor could not tell which campaigns the log's switches began
            await self._checkpoints.save(state, epoch, row["log_epoch"])
        log.info("partition.taken", p=p, epoch=epoch, position=row["position"], rows=len(state.consents))
        return Owned(state, epoch, row["log_epoch"], row["position"], state.fact_seq)

    async def _log_was_lost(self, p: int, row: asyncpg.Record, head: Head | None) -> bool:
        """Whether the log is another one than the position's, ends before it, or has a hole behind the checkpoint."""
        status = await self._stream.status(p)
        if not status.epoch or status.epoch != row["log_epoch"]:
            return True
        if status.last < row["position"]:
            return True
        start = head.position if head is not None and head.log_epoch == status.epoch else 0
        return status.trimmed > start

    async def _open_log(self, p: int, epoch: int) -> asyncpg.Record:
        name = secrets.token_hex(8)
        row = await queries.matcher.log_was_lost(self._pool, p=p, epoch=epoch, log_epoch=name)
        if row is None:
            raise Zombie(f"partition {p} was taken over while its log was found lost")
        await self._stream.open(p, epoch, name)
        if row["reset_at"] is not None:
            log.warning("log.lost", p=p, epoch=epoch)
        return row

    async def _first_blocks(self, p: int) -> int:
        """A block of every live campaign that has none here, before the tables are read: a state that begins under the
        newest snapshot meets no switch that would bring them, and the first customers would find nothing to get. The
        snapshot's revision: under a newer one, published since, it must not begin."""
        revision = await self._snapshots.refresh()
        if revision:
            known = {block["campaign"] async for block in queries.matcher.load_blocks(self._pool, p=p)}
            live = [c.id for c in self._snapshots.loaded[revision].campaigns if not c.first_coupons]
            await lease(self._pool, p, [c for c in live if c not in known], starving=False)
        return revision

    async def _load(self, p: int) -> State:
        """Everything that rests on tables, as of one moment."""
        read, state = queries.matcher, State(p, rules=self._rules, settling=Settling(self._rules, self._late_ms))
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            rows = {row["p"]: row async for row in read.partitions(connection)}
            state.fact_seq, state.loaded_seq = rows[p]["fact_seq"], rows[p]["facts_written"]
            async for customer in read.load_consents(connection, p=p):
                row = customer["number"] // PARTITIONS
                state.reserve(row + 1)
                state.consents[row] = customer["consents"]
            async for note in read.load_caps(connection, p=p):
                state.caps.note(note["number"] // PARTITIONS, note["campaign"], note["logged_ms"])
            async for block in read.load_blocks(connection, p=p):
                state.blocks.restore(block["campaign"], block["granted"], block["spent"])
            async for line in read.load_history(connection, p=p):
                row = line["number"] // PARTITIONS
                state.history.note(row, line["product"], line["at_ms"], line["quantity"])
            async for campaign in read.load_stopped(connection):
                state.stopped.add(campaign["id"])
        return state

    async def _presence(self, state: State, head: Head | None, committed: int, newest: int) -> None:
        """Checkpoint, then the entries behind it up to *committed*, without deciding; without a checkpoint under the
        snapshot *newest*."""
        revision = newest
        if head is not None and (head.revision == 0 or await self._snapshots.at(head.revision) is not None):
            revision = head.revision
        snapshot = await self._snapshots.at(revision) if revision else None
        if snapshot is not None:
            state.snapshot, state.revision = snapshot, revision
            state.blocks.begin(set_aside(NOTHING, snapshot))
        if head is not None:
            await self._checkpoints.load(state)
            state.position = head.position
        while state.position < committed:
            page = await self._stream.read({state.p: state.position}, count=REPLAY_PAGE, block_ms=1)
            entries = [entry for entry in page.get(state.p, []) if entry.position <= committed]
            if not entries:
                break
            snapshots = await self._snapshots.known(entries)
            step(state, entries, snapshots, event_age_ms=self._event_age_ms, deciding=False)
        state.position = committed
        _forget_withdrawn(state)


def _forget_withdrawn(state: State) -> None:
    """A checkpoint may be older than a withdrawal of consent: who does not consent now is nowhere."""
    for row in range(state.presence.rows):
        if not state.consents[row] & LOCATION and state.presence.position(row) is not None:
            state.forget(row)
