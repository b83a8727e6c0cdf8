"""The same decisions by PostgreSQL: the world in indexed tables, one set-based query for a whole batch of events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncpg
import numpy as np

from benchmarks.decide_world import NOW_MS, World
from benchmarks.peers.servers import SocketPostgres, folder, running
from engine.embedded.postgres import DATABASE, USER
from geo.arrays import Ints
from offers.affinity import BRAND, CATEGORY, HALF_LIFE_DAYS, PRODUCT, RETAILER
from offers.campaign import DAY_MS
from offers.intervals import ALWAYS, IntervalTable
from offers.kernels.records import NONE, Flag

OPTIONS: Final = {
    "max_parallel_workers_per_gather": "0",
    "max_wal_size": "8GB",
    "synchronous_commit": "off",
    "jit": "off",
}
TABLES: Final = """
    CREATE UNLOGGED TABLE campaign (
        place int4, retailer int8, starts_ms int8, ends_ms int8, worth_minor int8, cap_ms int8, within_ms int8,
        cap_coupons int4, priority int4, open_only bool, left_over int4);
    CREATE UNLOGGED TABLE wanted (place int4, list int2, key int8);
    CREATE UNLOGGED TABLE posting (fence int4, place int4, week int4);
    CREATE UNLOGGED TABLE fence (fence int4, hours int4);
    CREATE UNLOGGED TABLE week (row int4, starts_ms int8, ends_ms int8);
    CREATE UNLOGGED TABLE hours (row int4, starts_ms int8, ends_ms int8);
    CREATE UNLOGGED TABLE bought (
        customer int4, product int8, at_ms int8, quantity int4, retailer int8, brand int8, category int8);
    CREATE UNLOGGED TABLE coupon (customer int4, place int4, at_ms int8);
"""
INDEXES: Final = """
    SET maintenance_work_mem = '1GB';
    ALTER TABLE campaign ADD PRIMARY KEY (place);
    CREATE INDEX ON posting (fence) INCLUDE (place, week);
    CREATE INDEX ON wanted (place, list, key);
    ALTER TABLE fence ADD PRIMARY KEY (fence);
    CREATE INDEX ON week (row, starts_ms, ends_ms);
    CREATE INDEX ON hours (row, starts_ms, ends_ms);
    CREATE INDEX ON bought (customer) INCLUDE (product, at_ms, quantity, retailer, brand, category);
    CREATE INDEX ON coupon (customer, place) INCLUDE (at_ms);
"""
QUERY: Final = f"""
    WITH event AS MATERIALIZED (
        SELECT e, customer, fence FROM unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS u (customer, fence, e)
    ), passed AS MATERIALIZED (
        SELECT e.e, e.customer, c.*
        FROM event e
        JOIN fence f ON f.fence = e.fence
        JOIN posting p ON p.fence = e.fence
        JOIN campaign c ON c.place = p.place
        WHERE c.starts_ms <= {NOW_MS} AND c.ends_ms > {NOW_MS} AND c.left_over > 0
          AND (p.week IS NULL OR EXISTS (
                SELECT FROM week w WHERE w.row = p.week AND w.starts_ms <= {NOW_MS} AND w.ends_ms > {NOW_MS}))
          AND (NOT c.open_only OR EXISTS (
                SELECT FROM hours h WHERE h.row = f.hours AND h.starts_ms <= {NOW_MS} AND h.ends_ms > {NOW_MS}))
          AND (SELECT count(*) FROM coupon k
               WHERE k.customer = e.customer AND k.place = c.place AND k.at_ms > {NOW_MS} - c.cap_ms) < c.cap_coupons
          AND (c.within_ms IS NULL OR EXISTS (
                SELECT FROM bought b
                WHERE b.customer = e.customer AND b.at_ms >= {NOW_MS} - c.within_ms AND (
                    EXISTS (SELECT FROM wanted w WHERE w.place = c.place AND w.list = 0 AND w.key = b.product)
                    OR EXISTS (SELECT FROM wanted w WHERE w.place = c.place AND w.list = 1 AND w.key = b.brand)
                    OR EXISTS (SELECT FROM wanted w WHERE w.place = c.place AND w.list = 2 AND w.key = b.category))))
    ), ranked AS (
        SELECT p.e, p.place, p.priority, p.worth_minor, coalesce((
            SELECT sum(
                ln((1 + l.quantity)::float8) / ln(2::float8)
                * power(2::float8, -({NOW_MS} - l.at_ms) / {DAY_MS}::float8 / {HALF_LIFE_DAYS}) * (
                {RETAILER} * (l.retailer = p.retailer)::int
                + {PRODUCT} * EXISTS (SELECT FROM wanted w
                                      WHERE w.place = p.place AND w.list = 3 AND w.key = l.product)::int
                + {BRAND} * EXISTS (SELECT FROM wanted w
                                    WHERE w.place = p.place AND w.list = 4 AND w.key = l.brand)::int
                + {CATEGORY} * EXISTS (SELECT FROM wanted w
                                       WHERE w.place = p.place AND w.list = 5 AND w.key = l.category)::int))
            FROM bought l WHERE l.customer = p.customer), 0) AS affinity
        FROM passed p
    )
    SELECT DISTINCT ON (e) e, place + 1 AS campaign FROM ranked
    ORDER BY e, priority DESC, round(affinity * 1e6) DESC, worth_minor DESC, place
"""


class PostgresDecider:
    """A world in a running server."""

    def __init__(self, connection: Any, version: str) -> None:
        self._connection = connection
        self.version = version

    async def decide(self, rows: Ints, fences: Ints) -> list[int]:
        """The campaign of each event, -1 for none, by one query."""
        out = [-1] * len(rows)
        for e, campaign in await self._connection.fetch(QUERY, rows.tolist(), fences.tolist()):
            out[e - 1] = campaign
        return out


@contextlib.asynccontextmanager
async def postgres(world: World, settings: Mapping[str, Any]) -> AsyncIterator[PostgresDecider]:
    """A server of our own with the world in it; gone at the end."""
    with folder() as data:
        server = SocketPostgres(data, OPTIONS | {name: str(value) for name, value in settings.items()})
        with running(server):
            connection = await asyncpg.connect(
                host=str(server.folder), port=server.port, user=USER, database=DATABASE, command_timeout=600
            )
            try:
                await connection.execute(TABLES)
                for table, columns in _columns(world).items():
                    records = zip(*(_plain(column) for column in columns), strict=True)
                    await connection.copy_records_to_table(table, records=records, timeout=600)
                await connection.execute(INDEXES)
                await connection.execute("VACUUM ANALYZE")
                yield PostgresDecider(connection, f"PostgreSQL {await connection.fetchval('SHOW server_version')}")
            finally:
                await connection.close()


def _columns(world: World) -> dict[str, tuple[Any, ...]]:
    """Table → columns."""
    snapshot, people = world.snapshot, world.customers
    rows, postings = snapshot.table.rows, snapshot.postings
    places, ptr, products = np.arange(len(rows)), postings.ptr, snapshot.products.arrays
    within_ms = np.where(rows["flags"] & Flag.AUDIENCE, rows["within_s"].astype(np.int64) * 1000, NONE)
    customer, keys = np.arange(len(people)), snapshot.products.keys
    bought = np.searchsorted(products["ids"], people.bought[0])
    return {
        "campaign": (
            places, rows["retailer"], rows["starts_ms"], rows["ends_ms"], rows["worth_minor"],
            rows["cap_s"].astype(np.int64) * 1000, _or_null(within_ms, NONE), rows["cap_coupons"], rows["priority"],
            rows["flags"] & Flag.OPEN > 0, world.left,
        ),
        "wanted": world.wanted(),
        "posting": (
            np.repeat(np.arange(len(ptr) - 1), np.diff(ptr)), postings.campaign, _or_null(postings.schedule, ALWAYS)
        ),
        "fence": (np.arange(len(ptr) - 1), postings.hours),
        "week": _intervals(snapshot.schedules),
        "hours": _intervals(snapshot.hours),
        "bought": (
            np.repeat(customer, np.diff(people.bought_ptr)), *people.bought, products["retailer"][bought],
            keys[products["brand"][bought]], keys[products["category"][bought]],
        ),
        "coupon": (np.repeat(customer, np.diff(people.coupon_ptr)), people.coupons[0] - 1, people.coupons[1]),
    }  # fmt: skip


def _intervals(table: IntervalTable) -> tuple[Any, ...]:
    return np.repeat(np.arange(len(table)), np.diff(table.ptr)), table.starts, table.ends


def _or_null(values: Any, null: int) -> list[int | None]:
    return [None if value == null else value for value in values.tolist()]


def _plain(column: Any) -> list[Any]:
    return column if isinstance(column, list) else column.tolist()
