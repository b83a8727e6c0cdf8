"""The geometry's benches run from end to end on small worlds, and no peer is held against us on other answers."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import shapely

from benchmarks import bars, geo_compile, geo_nearest, geo_outlines, geo_pings, geo_polygons, geo_scale
from benchmarks.bars import Plan
from benchmarks.geo_fences import bench as fences_bench
from benchmarks.geo_ground import KINDS, World, helsinki, world
from benchmarks.geo_pairs import Pairs, differing, edge_m
from benchmarks.geo_shapes import M_PER_DEG
from benchmarks.peers import install
from benchmarks.peers.strtree import RIM_SHARE, Strtree
from benchmarks.result import Row
from geo.index import FenceIndex
from geo.match import match
from geo.nearest import nearest
from geo.pings import PingIndex
from geo.sphere import distance_m

needs_peers = pytest.mark.skipif(
    install.postgis_bin() is None or importlib.util.find_spec("scipy") is None,
    reason="PEERS ARE NOT INSTALLED, their benches are not tried: make peers",
)


def small(bench: str, **workload: float) -> Plan:
    """The plan with a little load."""
    plan = bars.load()[bench]
    assert workload.keys() <= plan.workload.keys()
    return msgspec.structs.replace(plan, workload=plan.workload | {"rounds": 1} | workload)


def a_world(kind: str, polygon_share: float = 0.5) -> World:
    return world(small("geo_fences", points=3_000), kind, 300, polygon_share)


def complete(plan: Plan, rows: Sequence[Row]) -> None:
    """Every bar has its row, every peer its figure."""
    assert [row.name for row in rows] == [bar.name for bar in plan.bars]
    assert all(row.ours > 0.0 and row.note for row in rows)
    assert all((row.theirs or 0.0) > 0.0 and row.peer_version for row in rows if row.peer)


@pytest.mark.parametrize("kind", KINDS)
def test_a_world_is_what_the_workload_says(kind: str) -> None:
    ground = a_world(kind)
    assert (len(ground), ground.circles, len(ground.shapes)) == (300, 150, 150)
    least_m, most_m = (25.0, 40.0) if kind == "real" else (30.0, 500.0)
    assert least_m <= ground.radius_m.min() and ground.radius_m.max() <= most_m
    geometries = ground.shapes.geometries
    assert shapely.is_valid(geometries).all()
    assert {len(one.geoms) for one in geometries} == {1, 2}
    assert {len(part.interiors) for one in geometries for part in one.geoms} == {0, 1}
    for lat, lng, shape in zip(ground.places.lat[150:], ground.places.lng[150:], geometries, strict=True):
        corner = shapely.get_coordinates(shape)
        reach_m = distance_m(corner[:, 1], corner[:, 0], float(lat), float(lng)).max()
        assert 0.99 * least_m <= reach_m <= 1.01 * most_m
    again = a_world(kind)
    assert np.array_equal(ground.shapes.vertex, again.shapes.vertex)
    assert np.array_equal(ground.places.point_lat, again.places.point_lat)


def test_the_uniform_world_has_the_density_it_claims() -> None:
    places = world(small("geo_fences", points=100), "uniform", 100_000, 0.0).places
    high_m = np.ptp(places.lat) * M_PER_DEG
    wide_m = np.ptp(places.lng) * M_PER_DEG * np.cos(np.radians(places.lat)).mean()
    assert 100_000 / (high_m * wide_m / 1e6) == pytest.approx(4.0, rel=0.01)


def test_the_real_world_is_the_city_side_by_side() -> None:
    city = helsinki()
    places = world(small("geo_fences", points=2_000), "real", 2 * len(city.shop), 0.0).places
    height = city.size[0]
    shops = {tuple(at) for at in np.round(city.shop, 9).tolist()}
    homes = {
        (round(lat - (lat > city.shop[:, 0].max() + 1e-9) * height, 9), round(lng, 9))
        for lat, lng in zip(places.lat.tolist(), places.lng.tolist(), strict=True)
        if abs(lng - city.shop[:, 1].mean()) < city.size[1] / 2
    }
    assert len(homes & shops) > 0.9 * len(shops)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_and_ours_give_the_same_pairs(kind: str) -> None:
    ground = a_world(kind)
    index = FenceIndex.build(ground.fences())
    found = match(index, *ground.points)
    ours = Pairs(found.point.astype(np.int64), found.fence.astype(np.int64))
    tree = Strtree(ground)
    assert differing(ground, ours, tree.bulk(), RIM_SHARE) < 0.02 * len(ours.point)
    assert differing(ground, ours, tree.boxes(), 0.0) == 0
    assert differing(ground, tree.bulk(), tree.turned(), 0.0) == 0


def test_other_answers_are_no_figure() -> None:
    ground = a_world("real")
    right = Strtree(ground).boxes()
    depth_m = [edge_m(ground, p, f) for p, f in zip(right.point.tolist(), right.fence.tolist(), strict=True)]
    for polygon in (False, True):
        deep = max(np.flatnonzero((right.fence >= ground.circles) == polygon), key=lambda n: depth_m[n])
        lacking = Pairs(np.delete(right.point, deep), np.delete(right.fence, deep))
        for one, other in ((right, lacking), (lacking, right)):
            with pytest.raises(RuntimeError, match="m from its edge"):
                differing(ground, one, other, RIM_SHARE)
    twice = Pairs(np.append(right.point, right.point[0]), np.append(right.fence, right.fence[0]))
    with pytest.raises(RuntimeError, match="twice"):
        differing(ground, right, twice, RIM_SHARE)


@needs_peers
def test_fences_against_every_peer() -> None:
    plan = small("geo_fences", few=300, points=2_000, postgis_points=500)
    plan = msgspec.structs.replace(plan, bars=[bar for bar in plan.bars if "_100k_" in bar.name])
    complete(plan, asyncio.run(fences_bench(plan)))


def test_a_peer_that_is_not_there_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.servers.postgis_bin", lambda: None)
    plan = small("geo_fences", few=30, points=100)
    with pytest.raises(RuntimeError, match="make peers"):
        asyncio.run(fences_bench(plan))


def test_what_hinders_an_installation_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.peers.install.subprocess.run", lambda *_, **__: None)
    monkeypatch.setattr(install, "postgis_bin", lambda: None)
    monkeypatch.setattr("benchmarks.peers.install.shutil.which", lambda _: None)
    assert install.main() == 1
    assert "no Debian" in capsys.readouterr().err
    monkeypatch.setattr("benchmarks.peers.install.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("benchmarks.peers.install.os.geteuid", lambda: 1_000)
    assert install.main() == 1
    assert "sudo apt-get install" in capsys.readouterr().err


def test_the_newest_server_that_has_postgis_is_taken(tmp_path: Path) -> None:
    for version, has in (("9", True), ("15", True), ("16", False)):
        (tmp_path / version / "lib").mkdir(parents=True)
        if has:
            (tmp_path / version / "lib" / "postgis-3.so").touch()
    assert install.postgis_bin(tmp_path) == tmp_path / "15" / "bin"
    assert install.postgis_bin(tmp_path / "none") is None


@pytest.mark.parametrize("vertices", [10, 1_000])
@pytest.mark.parametrize("kind", geo_outlines.OUTLINES)
def test_an_outline_has_its_vertices_and_its_size(kind: str, vertices: int) -> None:
    outline = geo_outlines.OUTLINES[kind](np.random.default_rng(1), vertices)
    assert len(outline) == vertices
    assert 0.9 < np.hypot(*outline.T).max() <= 1.0 + 1e-12
    assert shapely.Polygon(outline).is_valid


def test_polygons() -> None:
    plan = small("geo_polygons", points=500, polygons=4, many=200)
    complete(plan, asyncio.run(geo_polygons.bench(plan)))


def test_scale() -> None:
    plan = small("geo_scale", few=20, many=100, customers=300, pings=600, batch=100)
    complete(plan, asyncio.run(geo_scale.bench(plan)))


def test_walkers_walk_and_stay_in_their_world() -> None:
    plan = small("geo_scale", customers=500)
    ground = geo_scale.World(plan, 20)
    before = ground._at
    for _ in range(50):
        after = ground._walked()
        stepped_m = distance_m(*before, *after)
        assert (stepped_m < 21.1).all() and (stepped_m > 20.9).mean() > 0.95
        before = after
    assert (before >= ground._low).all() and (before <= ground._high).all()


def test_nearest() -> None:
    plan = small("geo_nearest", stores=3_000, questions=50)
    complete(plan, asyncio.run(geo_nearest.bench(plan)))


def test_other_nearest_stores_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def second_best(index, lat, lng, k, mask):  # type: ignore[no-untyped-def]
        return type("Found", (), {"position": nearest(index, lat, lng, k + 1, mask).position[1:]})

    monkeypatch.setattr(geo_nearest, "nearest", second_best)
    with pytest.raises(RuntimeError, match="not the same to 1 m"):
        asyncio.run(geo_nearest.bench(small("geo_nearest", stores=3_000, questions=20)))


def test_pings() -> None:
    plan = small("geo_pings", customers=5_000, questions=100)
    complete(plan, asyncio.run(geo_pings.bench(plan)))


def test_a_customer_too_few_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = PingIndex.inside
    monkeypatch.setattr(PingIndex, "inside", lambda self, circle: inside(self, circle)[1:])
    with pytest.raises(RuntimeError, match="are not those"):
        asyncio.run(geo_pings.bench(small("geo_pings", customers=5_000, questions=1)))


def test_compile() -> None:
    plan = small("geo_compile", fences=50, circles=200)
    complete(plan, asyncio.run(geo_compile.bench(plan)))
