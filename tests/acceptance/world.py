"""A whole Candlemaker in one folder: embedded servers, two matchers, sender, API, and a stand-in for FCM.

Nothing is faked: customers, shops and campaigns are made over HTTP, and what happened is read back from PostgreSQL and
from the stand-in's ledger.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from engine.errors import ServerError
from engine.log.entries import EntryKind, Switch, decode
from engine.log.keys import PARTITIONS, head_key, log_key, position_of
from engine.postgres.pool import ENGINE, LOST, connect, open_pool
from engine.settings import Settings
from engine.standin.server import StandIn, serving
from engine.supervise import Stack
from tests.acceptance.bodies import CORNER, KIOSK, RARE_COUPONS, SHOP, campaign, fresh, now, person

LEASE_S = 5
MOST_CUSTOMERS = 1_000
PATIENCE_S = 45.0


@dataclass
class World:
    """What a test sees of it."""

    stack: Stack
    stand_in: StandIn
    client: httpx.AsyncClient
    database: Any
    log: Redis
    keys: dict[str, str] = field(default_factory=dict, repr=False)
    campaigns: dict[str, int] = field(default_factory=dict)
    reported: int = 0
    """Pings acknowledged so far."""

    # ── doors ──

    async def acked(self, method: str, path: str, who: str, body: Any = None, key: str = "") -> httpx.Response:
        """The answer once there is one: refused connections and 503 are tried again with the very same request, as
        an app's backend does. Any other 5xx is a failure of the product."""
        headers = {"Authorization": f"Bearer {self.keys.get(who, who)}"} | ({"Idempotency-Key": key} if key else {})
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = await self.client.request(method, path, headers=headers, json=body)
            except httpx.TransportError as error:
                why = repr(error)
            else:
                if answer.status_code != 503:
                    assert answer.status_code < 500, (method, path, answer.text)
                    return answer
                assert "retry-after" in answer.headers, "a 503 says when to come back"
                why = answer.text
            assert time.monotonic() < deadline, (method, path, why)
            await asyncio.sleep(0.05)

    async def good(self, method: str, path: str, who: str, body: Any = None, key: str = "") -> Any:
        """The JSON of a request that must succeed."""
        answer = await self.acked(method, path, who, body, key)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def ask(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows, however often PostgreSQL comes and goes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return list(await self.database.fetch(sql, *arguments))
            except (*LOST, TimeoutError, asyncpg.OperatorInterventionError):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

    async def one(self, sql: str, *arguments: Any) -> Any:
        """The only value."""
        return (await self.ask(sql, *arguments))[0][0]

    async def until(self, true: Callable[[], Awaitable[bool]], what: str, timeout_s: float = PATIENCE_S) -> float:
        """Wait for a condition; the seconds it took."""
        began = time.monotonic()
        while not await true():
            assert time.monotonic() < began + timeout_s, f"not in {timeout_s} s: {what}"
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def pings(self, customers: list[str], place: tuple[float, float], at: str = "") -> None:
        """Acknowledged positions of *customers* at *place*, now by the phones' clocks unless *at* says when."""
        at = at or now()
        rows = [{"customer": one, "lat": place[0], "lng": place[1], "accuracy_m": 8.0, "at": at} for one in customers]
        answer = await self.acked("POST", "/v1/pings", "app", {"pings": rows})
        assert answer.status_code == 202, answer.text
        assert answer.json()["refused"] == [], answer.text
        self.reported += len(customers)

    async def people(self, count: int) -> list[str]:
        """New customers with every consent and a phone each, known to the matchers."""
        ids = [fresh("customer") for _ in range(count)]
        rows = [person(one) for one in ids]
        for first in range(0, count, MOST_CUSTOMERS):
            await self.good("POST", "/v1/customers", "app", {"customers": rows[first : first + MOST_CUSTOMERS]})
        await self.facts_are_in()
        return ids

    # ── conditions ──

    async def facts_are_in(self) -> None:
        """Every fact written so far is part of the committed state."""
        written = await self.ask("SELECT p, last FROM fact_counter")

        async def applied() -> bool:
            seen = {row["p"]: row["fact_seq"] for row in await self.ask("SELECT p, fact_seq FROM partition")}
            return all(seen[row["p"]] >= row["last"] for row in written)

        await self.until(applied, "facts reach the matchers")

    async def owned_by(self) -> dict[int, int]:
        """Partition → backend that holds its lock."""
        rows = await self.ask(
            "SELECT objid::int AS p, pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = hashtext('candlemaker.partition')::oid AND mode = 'ExclusiveLock'"
        )
        return {row["p"]: row["pid"] for row in rows}

    async def shared_by(self, matchers: int) -> None:
        """The partitions are spread evenly over so many matchers, and each of them is matched."""

        async def even() -> bool:
            owners = list((await self.owned_by()).values())
            return len(owners) == PARTITIONS and len(set(owners)) == matchers

        await self.until(even, f"{matchers} matchers share the partitions")
        await self.matched()

    async def matched(self) -> None:
        """Everything in the log so far is decided and committed."""
        ends = {p: await self._last(p) for p in range(PARTITIONS)}

        async def behind() -> bool:
            at = {row["p"]: row["position"] for row in await self.ask("SELECT p, position FROM partition")}
            return all(at[p] >= end for p, end in ends.items())

        await self.until(behind, "the matchers catch up")

    async def switched(self, campaign: int) -> None:
        """A snapshot with the (first) block of *campaign* in every partition is in every log: whatever is reported
        from now on comes behind it."""

        async def leased() -> bool:
            blocks = await self.ask("SELECT FROM budget_block WHERE campaign = $1", campaign)
            return len(blocks) == PARTITIONS

        await self.until(leased, "every partition has a block of the campaign")
        revision = await self.one("SELECT max(revision) FROM snapshot")

        async def in_force() -> bool:
            return all([await self._revision(p) >= revision for p in range(PARTITIONS)])

        await self.until(in_force, "every partition's log has the switch")

    async def _revision(self, p: int) -> int:
        """The newest revision named by the partition's checkpoint or by a switch behind it."""
        entries: Any = await self.log.xrange(log_key(p))
        switches = [decode(EntryKind.SWITCH, entry[b"v"]) for _, entry in entries if entry[b"k"] == b"switch"]
        newest = [switch.revision for switch in switches if isinstance(switch, Switch)]
        return max([*newest, int(await self.log.hget(head_key(p), "revision") or 0)])

    async def _last(self, p: int) -> int:
        info = await self.log.xinfo_stream(log_key(p))
        return position_of(info["last-generated-id"])

    async def settled(self) -> None:
        """The log is matched, every message has ended, every outcome is booked."""
        await self.matched()

        async def ended() -> bool:
            return not await self.one("SELECT count(*) FROM message_state WHERE state IN ('queued', 'leased')")

        await self.until(ended, "every message ends")
        await self.facts_are_in()

    async def back(self, name: str, before: int) -> None:
        """A part that was killed lives again under another pid."""

        async def lives() -> bool:
            return self.stack.pid(name) not in (None, before)

        await self.until(lives, f"{name} is started again")


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    """The world, furnished; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="candlemaker-world-", dir=_memory()))
    os.chmod(folder, 0o755)  # the servers run as another user
    try:
        async with serving(folder / "fcm") as stand_in:
            settings = Settings(
                data=folder / "data",
                port=0,
                lease_s=LEASE_S,
                fcm_service_account=str(stand_in.service_account),
                fcm_base_url=stand_in.address,
                fence_evidence_s=0,  # its people jump where others walk
            )
            async with Stack(settings, ("matcher", "matcher-2", "sender", "api"), folder / "logs") as stack:
                world = await _opened(stack, stand_in)
                try:
                    await _furnish(world)
                    yield world
                finally:
                    await _closed(world)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _opened(stack: Stack, stand_in: StandIn) -> World:
    client = httpx.AsyncClient(base_url=stack.url, timeout=10.0, limits=httpx.Limits(max_connections=32))
    return World(
        stack=stack,
        stand_in=stand_in,
        client=client,
        database=await open_pool(stack.settings, ENGINE, 1, 4),
        log=Redis.from_url(stack.settings.redis_url, retry=Retry(ConstantBackoff(0.05), 200)),
    )


async def _closed(world: World) -> None:
    await world.client.aclose()
    await world.log.aclose()
    try:
        async with asyncio.timeout(5.0):
            await world.database.close()
    except (TimeoutError, *LOST, ServerError):
        world.database.terminate()


WITNESS = """
    CREATE TABLE witness (p smallint, epoch bigint, was_epoch bigint, position bigint, was_position bigint,
                          fact_seq bigint, was_fact_seq bigint, same_log boolean);
    CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO public.witness VALUES (NEW.p, NEW.epoch, OLD.epoch, NEW.position, OLD.position,
                                           NEW.fact_seq, OLD.fact_seq, NEW.log_epoch = OLD.log_epoch);
        RETURN NULL;
    END $$;
    CREATE TRIGGER bear_witness AFTER UPDATE ON partition FOR EACH ROW EXECUTE FUNCTION bear_witness();
    GRANT SELECT ON witness TO candlemaker_engine;
"""
"""The database itself notes every move of a partition: a zombie's write is seen, however soon it is overwritten."""


async def _furnish(world: World) -> None:
    owner = await connect(world.stack.settings)
    await owner.execute(WITNESS)
    await owner.close()
    world.keys["admin"] = (world.stack.settings.data / "admin.key").read_text().strip()
    made = await world.good("POST", "/v1/retailers", "admin", {"name": "Candles", "currency": "EUR"})
    for scope in ("app", "retailer", "till"):
        body = {"scope": scope, "name": scope} | ({} if scope == "app" else {"retailer": made["id"]})
        world.keys[scope] = (await world.good("POST", "/v1/keys", "admin", body))["key"]
    stores = [
        {"code": code, "name": code, "lat": place[0], "lng": place[1], "zone": "Europe/Helsinki"}
        for code, place in (("shop", SHOP), ("kiosk", KIOSK), ("corner", CORNER))
    ]
    await world.good("POST", "/v1/stores", "retailer", {"stores": stores})
    await world.good("POST", "/v1/products", "retailer", {"products": [{"code": "wick", "name": "Wick"}]})
    for name, store, budget in (("must", "shop", 64_000), ("rare", "kiosk", RARE_COUPONS)):
        await activate(world, name, campaign(name, store, budget))
    for number in world.campaigns.values():
        await world.switched(number)
    await world.shared_by(2)


async def activate(world: World, name: str, body: dict[str, Any]) -> int:
    """Create and activate a campaign; return its id."""
    number: int = (await world.good("POST", "/v1/campaigns", "retailer", body, fresh("key")))["id"]
    await world.good("POST", f"/v1/campaigns/{number}/activate", "retailer", None, fresh("key"))
    world.campaigns[name] = number
    return number


async def start(world: World, name: str, body: dict[str, Any]) -> int:
    """The same, once every partition decides with it."""
    number = await activate(world, name, body)
    await world.switched(number)
    return number


def _memory() -> str | None:
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30 else None
