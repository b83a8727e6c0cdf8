"""The README's curl lines, as pasted into a shell beside `candlemaker up`."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from engine.http.keys import ensure_admin_key
from engine.settings import Settings
from engine.supervise import Stack

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


def lines_to_paste(url: str) -> str:
    section = (ROOT / "README.md").read_text().split("## A first hour with curl")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return "set -o pipefail\n" + block[1].replace("http://127.0.0.1:8470", url)


async def test_the_lines_work_as_pasted(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / ".candlemaker", port=0)
    async with Stack(settings) as stack:
        await ensure_admin_key(stack.settings)
        pasted = lines_to_paste(stack.url)
        shell = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", pasted],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    said = shell.stdout + shell.stderr
    assert shell.returncode == 0, said
    assert '"accepted":1' in said
    assert "event: message" in said
    answers = [json.loads(line) for line in shell.stdout.splitlines() if line.startswith("{")]
    first, replayed, refused, bought = answers[-4:]
    assert first["discount_minor"] == 375
    assert replayed == first
    assert (refused["status"], refused["type"]) == (409, "/problems/already_redeemed")
    assert bought["accepted"] == 1
    assert [answer for answer in answers[:-2] if answer.get("status", 200) >= 400] == []
