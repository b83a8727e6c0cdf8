"""Published parts that cannot be read any more: compiled anew, instead of dying of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.settings import Settings
from tests.contract.matcher_rig import owner

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
