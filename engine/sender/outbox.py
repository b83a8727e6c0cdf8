"""The outbox in PostgreSQL: lease, settle, give back. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from engine.postgres import queries
from engine.sender.claim import Claim, claim_of
from engine.sender.retry import Again, Status

Refusal = Callable[[Claim, str, int], tuple[Status, str] | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """A message that is over."""

    message: UUID
    status: Status
    reason: str
    provider_id: str = ""


class Outbox:
    """The messages as one sender sees them; *sender* is its name, unique among the living."""

    def __init__(self, pool: asyncpg.Pool, sender: str, lease_s: int) -> None:
        self._pool = pool
        self._sender = sender
        self._lease_s = lease_s

    async def lease(self, channel: str, most: int) -> list[Claim]:
        """Claim up to *most* due messages."""
        async with self._pool.acquire() as connection:
            return await self._lease(connection, channel, most)

    async def _lease(self, connection: asyncpg.Connection, channel: str, most: int) -> list[Claim]:
        rows = queries.outbox.lease_due(
            connection, channel=channel, most=most, sender=self._sender, lease_s=self._lease_s
        )
        return [claim_of(row) async for row in rows]

    async def settle(self, ended: Sequence[Ended]) -> None:
        """Write outcomes; decisions of which nothing went out give back their coupon, cap and budget."""
        if ended:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._settle(connection, ended)

    async def _settle(self, connection: asyncpg.Connection, ended: Sequence[Ended]) -> None:
        rows = queries.outbox.settle(
            connection,
            id=[one.message for one in ended],
            state=[one.status.value for one in ended],
            reason=[one.reason for one in ended],
            provider_id=[one.provider_id for one in ended],
            sender=self._sender,
        )
        # A sent or unknown message keeps its decision alive; only the others can be the last to fail.
        decisions = [row["decision"] async for row in rows if row["state"] not in ("sent", "unknown")]
        if not decisions:
            return
        await queries.outbox.lock_decisions(connection, decisions=decisions)
        dead = [row async for row in queries.outbox.void_dead_coupons(connection, decisions=decisions)]
        for row in dead:
            payload = {
                "number": row["customer"],
                "campaign": row["campaign"],
                "decision": row["id"].hex,
                "logged_ms": row["logged_ms"],
            }
            await queries.matcher.append_fact(connection, p=row["p"], kind="outcome", payload=payload)

    async def requeue(self, again: Sequence[tuple[UUID, Again]]) -> None:
        """Try these again at their time."""
        if again:
            await queries.outbox.requeue(
                self._pool,
                id=[message for message, _ in again],
                at_ms=[step.at_ms for _, step in again],
                charged=[step.charged for _, step in again],
                ambiguous=[step.ambiguous for _, step in again],
                sender=self._sender,
            )

    async def release_abandoned(self) -> None:
        """Take back what dead senders held."""
        await queries.outbox.release_abandoned(self._pool)

    async def dead_device(self, claim: Claim, state: str, leased_ms: int) -> None:
        """The provider says the registration is dead."""
        await queries.outbox.dead_device(
            self._pool,
            device=claim.device,
            registration=claim.registration,
            state=state,
            leased_ms=leased_ms,
        )

    async def stop_campaign(self, campaign: int) -> bool:
        """Kill a campaign whose payload the provider refuses; True if it was alive."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await queries.outbox.stop_campaign(connection, campaign=campaign):
                return False
            await queries.outbox.note_stop(connection, campaign=campaign)
            await queries.outbox.tell_stop(connection, campaign=campaign)
            return True

    async def deliver_inapp(self, most: int, now_ms: int, refuse: Refusal) -> tuple[int, list[int]]:
        """Lease, check, put into the inbox and settle in one transaction; (how many were leased, customers to wake)."""
        async with self._pool.acquire() as connection, connection.transaction():
            claims = await self._lease(connection, "inapp", most)
            if not claims:
                return 0, []
            refused = {claim.id: why for claim in claims if (why := refuse(claim, "inapp", now_ms))}
            shown = [claim.id for claim in claims if claim.id not in refused]
            customers = [row["customer"] async for row in queries.outbox.number_inbox(connection, id=shown)]
            ended = [Ended(message, status, reason) for message, (status, reason) in refused.items()]
            ended += [Ended(message, Status.SENT, "") for message in shown]
            await self._settle(connection, ended)
            return len(claims), customers
