"""`candlemaker upload FILE`: what it prints, what it leaves beside the file, and its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.__main__ import main
from tests.contract.http_bodies import fresh
from tests.contract.http_world import World
from tests.contract.test_http_wire import Server
from tests.contract.upload_rig import load

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "code,name,lat,lng,zone\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(world: World) -> AsyncIterator[Server]:
    one = Server(world.services.settings)
    try:
        await one.ready()
        yield one
    finally:
        await asyncio.to_thread(one.end, signal.SIGKILL)


async def upload(world: World, server: Server, file: Path, *more: str) -> int:
    """The exit status of the command, while a loader works."""
    key = file.with_name("shop.key")
    key.write_text(world.keys["retailer"] + "\n")
    argv = ["upload", str(file), "--url", server.url, "--key-file", str(key), *more]
    running = asyncio.create_task(asyncio.to_thread(main, argv, {}))
    while not running.done():
        await load(world)
        await asyncio.sleep(0.05)
    return await running


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed; the loader of this process logs to the same place."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if "upload.ended" not in line)


async def test_a_file_is_stored(
    world: World, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, code = tmp_path / "stores-may.csv.gz", fresh("s")
    file.write_bytes(gzip.compress(f"{HEADER}{code},Shop,60.1,24.9,UTC\n".encode()))
    assert await upload(world, server, file, "--dry-run") == 0
    assert said(capsys) == "would be stored: 1 rows: 1 created, 0 updated, 0 unchanged, 0 ended\n"
    assert await upload(world, server, file) == 0
    assert said(capsys) == "stored: 1 rows: 1 created, 0 updated, 0 unchanged, 0 ended\n"
    assert await upload(world, server, file) == 0
    assert "1 unchanged" in said(capsys)


async def test_rejected_rows_are_beside_the_file(
    world: World, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "S,Shop,91,24.9,Mars\n" * 20)
    assert await upload(world, server, file, "--kind", "stores") == 1
    printed = said(capsys)
    first = "rejected, nothing is stored: 20 of 20 rows have faults\n  row,column,code,detail\n  1,lat,range"
    assert printed.startswith(first)
    told = (tmp_path / "rows.csv.rejected.csv").read_text()
    assert len(told.splitlines()) == 21 and str(tmp_path / "rows.csv.rejected.csv") in printed


@pytest.mark.parametrize(
    "case",
    [
        ("stores.xls", [], "must end in one of"),
        ("nobody.csv", ["--kind", "stores"], "there is no file"),
        ("things.csv", [], "say what the rows of things.csv are"),
        ("areas.csv", [], "areas are drawn as GeoJSON"),
        ("stores.csv", ["--activate"], "only campaigns are activated"),
        ("stores.csv", ["--retailer", "999999"], "another retailer"),
        ("stores.csv", ["--url", "nowhere"], "is no address"),
        ("stores.csv", ["--url", "http://127.0.0.1:9"], "does not answer"),
    ],
)
async def test_what_cannot_be_sent_is_told(
    world: World, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[str, list[str], str]
) -> None:
    name, more, why = case
    file = tmp_path / name
    if name != "nobody.csv":
        file.write_text(HEADER)
    with contextlib.suppress(SystemExit):
        assert await upload(world, server, file, *more) != 0
    caught = capsys.readouterr()
    assert why in caught.err + caught.out
    assert "Traceback" not in caught.err
