"""The README's curl lines, as pasted into a shell beside `candlemaker up`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.http.keys import ensure_admin_key
from engine.settings import Settings
from engine.supervise import Stack

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


def lines_to_paste(url: str) -> str:
    section = (ROOT / "README.md").read_text().split("## A first hour with curl")[1]
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) >= 2
    return "set -o pipefail\n" + blocks[0].replace("http://127.0.0.1:8470", url) + blocks[1]


async def test_the_lines_work_as_pasted(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / ".candlemaker", port=0)
    async with Stack(settings) as stack:
        await ensure_admin_key(stack.settings)
        pasted = lines_to_paste(stack.url)
        shell = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", pasted],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    said = shell.stdout + shell.stderr
    assert shell.returncode == 0, said
    assert '"accepted":1' in said
    assert "event: message" in said
    answers = [json.loads(line) for line in shell.stdout.splitlines() if line.startswith("{")]
    first, replayed, refused, bought = answers[-6:-2]
    assert first["discount_minor"] == 375
    assert replayed == first
    assert (refused["status"], refused["type"]) == (409, "/problems/already_redeemed")
    assert bought["accepted"] == 1
    assert [answer for answer in answers[:-4] if answer.get("status", 200) >= 400] == []
    uploads, campaigns = answers[-2:]
    assert uploads["uploads"][0]["difference"] == {"created": 0, "updated": 0, "unchanged": 2, "ended": 0}
    assert {one["state"] for one in campaigns["campaigns"]} == {"live"} and len(campaigns["campaigns"]) == 2
    assert (
        "2,lat,type," in said and "would be stored: 2 rows: 2 created" in said and "stored: 2 rows: 2 created" in said
    )
