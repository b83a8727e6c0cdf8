"""Published parts that cannot be read any more: compiled anew, instead of dying of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.settings import Settings
from tests.contract.matcher_rig import LIVE, owner

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
