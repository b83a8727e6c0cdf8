"""Published parts that cannot be read any more: compiled anew, instead of dying of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.settings import Settings
from tests.contract.matcher_rig import owner


@pytest.mark.parametrize("how", ["gone", "cut short"])
async def test_an_unreadable_snapshot_is_compiled_anew(furnished: Settings, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "snapshots"
    async with owner(furnished, folder) as first:
        before = await first.snapshots.refresh()
    for part in folder.iterdir():
        part.unlink() if how == "gone" else part.write_bytes(part.read_bytes()[:20])
    async with owner(furnished, folder) as second:
        assert await second.snapshots.refresh() == 0
        assert await second.snapshots.at(before) is None
        await second.snapshots.compile_if_changed()
        after = await second.snapshots.refresh()
        assert after > before and len(second.snapshots.loaded[after].campaigns) == 1
