"""Screen and page: every number shown, attribution at every size, the page served without a request to anybody else."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console

from engine.demo.api import parsed
from engine.demo.city import read_city
from engine.demo.gauges import Gauges
from engine.demo.guards import Tried
from engine.demo.page import FILES, FOLDER, MOST_DOTS, Page
from engine.demo.people import people
from engine.demo.phones import Push
from engine.demo.scene import NOTICES
from engine.demo.screen import Opening, Screen, plain, tried_rows
from engine.demo.streets import edges, read_streets
from engine.demo.tills import Shown
from engine.standin.ledger import Arrival

SATURDAY_11_MS = 1_795_251_600_000
READING = Gauges(
    at_ms=SATURDAY_11_MS, pings=47_243, pings_s=801.4, inside=1_381, triggers={"enter": 1_459, "exit": 78},
    decisions={"enter": 535, "dwell": 188}, reasons={"cap_reached": 44, "budget_exhausted": 252}, twice=348, late=273,
    coupons=724, run_out=2, sent=1_312, shown=597, redemptions=143, suppressed=12, p50_ms=47.0, p99_ms=920.0,
)  # fmt: skip


def push(title: str = "10 % off lunch") -> Push:
    [person, *_] = people([1, 2, 3], 3, seed=1)
    return Push(person, Arrival(1, SATURDAY_11_MS, person.registration, 200, "ok", accepted=True, title=title))


def drawn(width: int, height: int) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    screen = Screen(console, ["Page: http://127.0.0.1:8480"], NOTICES, Tried(killed=7, restarted=True), Shown(["c"]))
    screen.hear(push())
    with console.capture() as taken:
        console.print(screen._drawn(READING))
    return taken.get()


def test_the_screen_shows_every_number() -> None:
    text = drawn(170, 50)
    for shown in ("801", "47,243", "1,381", "1,459", "535", "252", "724", "1,312", "597", "143", "47 / 920 ms"):
        assert shown in text, shown
    assert "Saturday 11:00:00" in text and "10 % off lunch" in text and "came back" in text
    assert "http://127.0.0.1:8480" in text


def test_a_small_terminal_shows_them_too() -> None:
    text = drawn(80, 24)
    for shown in ("801", "47,243", "1,381", "1,459", "535", "252", "724", "1,312", "597", "143", "47 / 920 ms"):
        assert shown in text, shown
    assert "…" not in text.split("Where this comes from")[0], "nothing is cut off"


def test_attribution_and_mapping_are_on_a_large_screen_at_once_and_on_a_small_one_in_turn() -> None:
    assert all(word in drawn(170, 50) for word in ("OpenStreetMap", "Complete Journey", "own mapping", "simulated"))
    assert "OpenStreetMap" in drawn(80, 24)


def test_without_a_terminal_a_reading_is_one_line() -> None:
    file = io.StringIO()
    with Screen(Console(file=file, width=200), ["Page: x"], NOTICES, Tried(), Shown()) as screen:
        screen.show(READING)
        screen.show(READING)
    lines = file.getvalue().splitlines()
    assert lines[-1] == plain(READING) and len(lines) == 1 + len(NOTICES) + 1, "the second reading came too soon"
    assert "p99 -" in plain(replace(READING, p50_ms=None, p99_ms=None))


def test_opening_tells_finished_steps_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with Opening(Console(file=file, width=100)) as opening:
        opening.tell("stores", 0, 2)
        opening.tell("stores", 1, 2)
        opening.tell("stores", 2, 2)
    assert file.getvalue().count("stores: 2") == 1


def test_a_killed_matcher_is_followed() -> None:
    states = [Tried(), Tried(killed=1), Tried(killed=1, restarted=True)]
    said = [tried_rows(READING, tried, Shown())["killed matcher"] for tried in states]
    assert said == ["not yet", "dead, others take over", "came back"]


@pytest.fixture(scope="module")
def page() -> Page:
    city = read_city()
    streets = read_streets(city.plane)
    folk = people(list(range(1, 2_000)), MOST_DOTS + 100, seed=1)
    scene: Any = SimpleNamespace(city=city, streets=streets, live=city.shops[:3], people=folk)
    traffic: Any = SimpleNamespace(lat_deg=np.full(len(folk), 60.17), lng_deg=np.full(len(folk), 24.94))
    return Page(scene, traffic, ["moved 3 m north"], NOTICES)


async def get(page: Page, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=page._app())
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", FILES)
async def test_the_page_is_served_and_asks_nobody_else(page: Page, path: str) -> None:
    answer = await get(page, path)
    assert answer.status_code == 200 and answer.content == (FOLDER / FILES[path]).read_bytes()
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    outside = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", answer.text)
    assert set(outside) <= {"http://www.w3.org"}, "a name space of SVG is no address"


async def test_the_map_holds_streets_shops_and_where_they_come_from(page: Page) -> None:
    town = (await get(page, "/map.json")).json()
    assert len(town["streets"]) == 4 * len(edges(page._scene.streets))
    assert sum(shop["live"] for shop in town["shops"]) == 3
    assert town["notices"] == list(NOTICES) and town["lines"] == ["moved 3 m north"]


async def test_a_reading_reaches_open_pages_with_new_coupons_once(page: Page) -> None:
    page.hear(push("20 % off rolls"))
    page.note({"decision": "d1", "title": "20 % off rolls", "code": "X"})
    page.show(READING, {"campaigns run out": "2"})
    telling = page._tell()
    first = (await anext(telling)).decode()
    assert "20 % off rolls" in first and '"coupons":724' in first and '"campaigns run out":"2"' in first
    page.show(READING, {})
    assert '"pops":[]' in page._event.decode() and '"code":"X"' in page._event.decode()
    assert page._event.count(b"\n\n") == 1
    await telling.aclose()


def test_a_turned_away_push_pops_up_nowhere(page: Page) -> None:
    refused = Arrival(2, SATURDAY_11_MS, "r", 429, "quota_device", title="never shown")
    page.hear(Push(push().person, refused))
    page.show(READING, {})
    assert b"never shown" not in page._event


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b'id: 7\nevent: message\ndata: {"a": "b: c"}', (7, b'{"a": "b: c"}')),
        (b"retry: 2000", None),
        (b": ", None),
        (b"", None),
    ],
)
def test_server_sent_events_are_read(block: bytes, event: tuple[int, bytes] | None) -> None:
    assert parsed(block) == event
