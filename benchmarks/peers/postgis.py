"""PostGIS: fences in a table with a GiST index, points in another, one join that counts the pairs inside the server.

Two schemas, of which the faster is the row's peer. "boxes": of a circle its box, in which `ST_DistanceSphere` decides;
"geography": of a circle its middle, expanded by its radius in an index, and the distance of geographies on the sphere.
Polygons lie in longitude and latitude and are tested by `ST_Intersects` in both. No parallel workers: everybody has one
thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncpg
import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.geo_ground import World
from benchmarks.geo_pairs import Pairs
from benchmarks.peers.servers import folder, running, with_postgis
from engine.embedded.postgres import DATABASE, USER
from geo.units import EARTH_RADIUS_M

ROWS: Final = 20_000
"""Fences a batch of text on their way to the server."""
OPTIONS: Final = {"max_parallel_workers_per_gather": "0", "max_wal_size": "8GB", "synchronous_commit": "off"}
TABLES: Final = """
    CREATE EXTENSION postgis;
    CREATE UNLOGGED TABLE asked (id int4, at geometry(Point, 4326));
    CREATE UNLOGGED TABLE fence (id int4, area geometry(Geometry, 4326), middle geometry(Point, 4326), radius_m float8);
"""
SCHEMAS: Final = """
    SET maintenance_work_mem = '1GB';
    CREATE UNLOGGED TABLE point AS SELECT id, at, at::geography AS around FROM asked;
    CREATE UNLOGGED TABLE circle AS
        SELECT id, middle::geography AS around, radius_m FROM fence WHERE radius_m IS NOT NULL;
    CREATE UNLOGGED TABLE polygon AS SELECT id, area FROM fence WHERE radius_m IS NULL;
    CREATE INDEX ON fence USING gist (area) WITH (buffering = on);
    CREATE INDEX ON circle USING gist (_ST_Expand(around, radius_m)) WITH (buffering = on);
    CREATE INDEX ON polygon USING gist (area) WITH (buffering = on);
"""
JOINS: Final = {
    "boxes": """
        SELECT {} FROM point p JOIN fence f ON f.area && p.at AND CASE
            WHEN f.radius_m IS NULL THEN ST_Intersects(f.area, p.at)
            ELSE ST_DistanceSphere(f.middle, p.at) <= f.radius_m END""",
    "geography": """
        SELECT {} FROM point p JOIN LATERAL (
            SELECT c.id FROM circle c WHERE _ST_Expand(c.around, c.radius_m) && p.around
                AND ST_Distance(c.around, p.around, false) <= c.radius_m
            UNION ALL
            SELECT g.id FROM polygon g WHERE ST_Intersects(g.area, p.at)) f ON true""",
}


class Postgis:
    """A world's fences and the first of its points in a running server."""

    def __init__(self, connection: Any, version: str) -> None:
        self._connection = connection
        self.version = version

    async def count(self, schema: str) -> int:
        """Pairs there are, counted in one join; what is measured."""
        return int(await self._connection.fetchval(JOINS[schema].format("count(*)")))

    async def pairs(self, schema: str) -> Pairs:
        """The pairs themselves."""
        rows = await self._connection.fetch(JOINS[schema].format("p.id, f.id"))
        point, fence = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2).T
        return Pairs(point, fence)


@contextlib.asynccontextmanager
async def postgis(world: World, points: int, settings: Mapping[str, Any]) -> AsyncIterator[Postgis]:
    """A server of our own with the world in it; gone at the end. Raises RuntimeError when there is no PostGIS."""
    with folder() as data:
        server = with_postgis(data, OPTIONS | {name: str(value) for name, value in settings.items()})
        with running(server):
            connection = await asyncpg.connect(
                host=str(server.folder), port=server.port, user=USER, database=DATABASE, command_timeout=600
            )
            try:
                await _fill(connection, world, points)
                version = await connection.fetchval("SELECT 'PostGIS ' || postgis_lib_version()")
                yield Postgis(connection, f"{version} in PostgreSQL {await connection.fetchval('SHOW server_version')}")
            finally:
                await connection.close()


async def _fill(connection: Any, world: World, points: int) -> None:
    await connection.execute(TABLES)
    await connection.copy_to_table("asked", source=_points(world, points), format="text")
    await connection.copy_to_table("fence", source=_circles(world), format="text")
    await connection.copy_to_table("fence", source=_polygons(world), format="text")
    await connection.execute(SCHEMAS)
    for table in ("point", "fence", "circle", "polygon"):
        await connection.execute(f"VACUUM ANALYZE {table}")


async def _points(world: World, points: int) -> AsyncIterator[bytes]:
    lat, lng = (axis[:points] for axis in world.points)
    yield _lines(np.arange(points), _hex(shapely.points(lng, lat)))


async def _circles(world: World) -> AsyncIterator[bytes]:
    """Boxes of circles touch their four sides, and a nanometre is allowed for rounding."""
    for first in range(0, world.circles, ROWS):
        some = slice(first, min(first + ROWS, world.circles))
        lat, lng, radius_m = world.places.lat[some], world.places.lng[some], world.radius_m[some]
        angle = radius_m / EARTH_RADIUS_M + 1e-13
        high, wide = np.degrees(angle), np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(lat))))
        boxes = _hex(shapely.box(lng - wide, lat - high, lng + wide, lat + high))
        yield _lines(np.arange(some.start, some.stop), boxes, _hex(shapely.points(lng, lat)), radius_m)


async def _polygons(world: World) -> AsyncIterator[bytes]:
    for first in range(0, len(world.shapes), ROWS):
        areas = _hex(world.shapes.geometries[first : first + ROWS])
        nothing = np.full(len(areas), "\\N")
        yield _lines(world.circles + first + np.arange(len(areas)), areas, nothing, nothing)


def _hex(geometries: NDArray[Any]) -> NDArray[Any]:
    made: NDArray[Any] = shapely.to_wkb(shapely.set_srid(geometries, 4326), hex=True, include_srid=True)
    return made


def _lines(*columns: NDArray[Any]) -> bytes:
    rows = zip(*(map(str, column.tolist()) for column in columns), strict=True)
    return "".join("\t".join(row) + "\n" for row in rows).encode()
