"""Published parts that cannot be read any more: compiled anew, instead of dying of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.log.entries import EntryKind, Switch
from engine.log.stream import OwnEntry
from engine.settings import Settings
from tests.contract.matcher_rig import LIVE, owner, rows
from tests.reference.matcher_world import STORES, P

MANIFEST = "SELECT manifest FROM snapshot ORDER BY revision DESC LIMIT 1"

BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda part: part[:20],
    "of an earlier version": lambda part: b"CANDLE02" + part[8:],
    "lacking an array": lambda part: part.replace(b"index_node", b"index_rims"),
}


@pytest.mark.parametrize("how", ["gone", *BREAKS])
async def test_an_unreadable_snapshot_is_compiled_anew(furnished: Settings, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "snapshots"
    async with owner(furnished, folder) as first:
        before = await first.snapshots.refresh()
    for part in folder.iterdir():
        part.unlink() if how == "gone" else part.write_bytes(BREAKS[how](part.read_bytes()))
    async with owner(furnished, folder) as second:
        assert await second.snapshots.refresh() == 0
        assert await second.snapshots.at(before) is None
        await second.snapshots.compile_if_changed()
        after = await second.snapshots.refresh()
        assert after > before and len(second.snapshots.loaded[after].campaigns) == 1


async def test_an_edit_is_a_small_part_that_every_process_reads_the_same(furnished: Settings, tmp_path: Path) -> None:
    """Two processes with the same folder: whichever compiles, the other rests the delta on the same base."""
    folder = tmp_path / "snapshots"
    edit = """UPDATE campaign
        SET spec = jsonb_set(spec, '{offer,percent}', to_jsonb($1::integer)), version = version + 1
        WHERE id = $2"""
    async with owner(furnished, folder) as first, owner(furnished, folder) as second:
        await first.snapshots.refresh()
        base = dict(await first.pool.fetchval("SELECT manifest FROM snapshot ORDER BY revision DESC LIMIT 1"))
        for percent, compiling, reading in ((41, first, second), (42, second, first), (43, second, first)):
            await first.pool.execute(edit, percent, LIVE)
            await compiling.snapshots.compile_if_changed()
            manifest = await first.pool.fetchval("SELECT manifest FROM snapshot ORDER BY revision DESC LIMIT 1")
            assert "delta" in manifest and {name: manifest[name] for name in base} == base
            for one in (compiling, reading):
                found = one.snapshots.loaded[await one.snapshots.refresh()]
                assert found.by_id[LIVE].offer.percent == percent
                assert len(found.postings.campaign) > 0
        files = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert files[manifest["delta"]] < 2_000
        # A pause is one too; a store that moves is not, for fences move with it.
        await first.pool.execute("UPDATE campaign SET state = 'paused' WHERE id = $1", LIVE)
        await first.snapshots.compile_if_changed()
        assert first.snapshots.loaded[await first.snapshots.refresh()].campaigns == ()
        await first.pool.execute("UPDATE campaign SET state = 'live' WHERE id = $1", LIVE)
        await first.pool.execute("UPDATE store SET lat = lat + 0.001")
        await first.snapshots.compile_if_changed()
        manifest = await first.pool.fetchval("SELECT manifest FROM snapshot ORDER BY revision DESC LIMIT 1")
        assert "delta" not in manifest and manifest["fences"] != base["fences"]


async def test_new_ground_goes_through_checkpoint_and_takeover(furnished: Settings, tmp_path: Path) -> None:
    """A wider circle is part of a delta; who is inside stays so for the next owner, who reads the same part."""
    folder = tmp_path / "snapshots"
    async with owner(furnished, folder) as first:
        owned = await first.take()
        base = await first.snapshots.refresh()
        manifest = dict(await first.pool.fetchval(MANIFEST))
        await first.pool.execute("UPDATE campaign SET spec = spec || '{\"radius_m\": 321}' WHERE id = $1", LIVE)
        await first.snapshots.compile_if_changed()
        revision = await first.snapshots.refresh()
        found = dict(await first.pool.fetchval(MANIFEST))
        assert "delta" in found and {name: found[name] for name in manifest} == manifest
        old, new = first.snapshots.loaded[base].fences, first.snapshots.loaded[revision].fences
        (wide,) = set(new.fence.tolist()) - set(old.fence.tolist())
        await first.stream.append([OwnEntry(P, owned.log_epoch, EntryKind.SWITCH, Switch(revision))])
        await first.pings([0], "street", first.began_ms - 60_000)
        await first.pings([0], "one", first.began_ms + 5)
        await first.cycle.turn()
        await first.cycle.drain()
    async with owner(furnished, folder) as second:
        state = (await second.take()).state
        assert state.revision == revision
        inside = [int(state.snapshot.fences.fence[visit.fence]) for visit in state.presence.visits(0)]
        assert wide in inside
        await second.pings([0], "one", second.began_ms + 60_000)
        await second.cycle.turn()
        await second.cycle.flush([P])
    assert [campaign for (campaign,) in await rows(furnished, "SELECT campaign FROM decision")] == [LIVE]


async def test_an_area_that_is_redrawn_changes_those_who_name_it_alone(furnished: Settings, tmp_path: Path) -> None:
    async with owner(furnished, tmp_path / "snapshots") as one:
        await one.snapshots.refresh()
        before = dict(await one.pool.fetchval(MANIFEST))
        drawn = "INSERT INTO area (retailer, code, store, geometry) VALUES (1, 'square', $1, $2)"
        await one.pool.execute(drawn, STORES[0].code, square(0.001))
        await one.snapshots.compile_if_changed()
        assert dict(await one.pool.fetchval(MANIFEST)) == before, "nobody names it yet"
        names_it = """UPDATE campaign SET spec = spec || '{"stores": [], "drawn": ["square"]}' WHERE id = $1"""
        await one.pool.execute(names_it, LIVE)
        await one.pool.execute("UPDATE store SET name = name")  # all is compiled: the campaign is in no delta any more
        await one.snapshots.compile_if_changed()
        before, reach = dict(await one.pool.fetchval(MANIFEST)), []
        assert "delta" not in before
        for half in (0.002, 0.004):
            await one.pool.execute("UPDATE area SET geometry = $1", square(half))
            await one.snapshots.compile_if_changed()
            found = dict(await one.pool.fetchval(MANIFEST))
            assert "delta" in found and {name: found[name] for name in before} == before
            live = one.snapshots.loaded[await one.snapshots.refresh()]
            (at,) = [f for f in range(len(live.fences)) if live.postings.ptr[f] < live.postings.ptr[f + 1]]
            reach.append(float(live.fences.reach_m[at]))
        assert reach[1] == pytest.approx(2 * reach[0], rel=0.01)


def square(half_deg: float) -> dict[str, object]:
    """Around the first store."""
    lat, lng = STORES[0].lat, STORES[0].lng
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    ring = [[lng + 2 * half_deg * east, lat + half_deg * north] for east, north in corners]
    return {"type": "Polygon", "coordinates": [ring]}
