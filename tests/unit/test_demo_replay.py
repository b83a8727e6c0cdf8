"""A recorded track in the city: which shop it is for, where it begins, when its fixes are due."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.demo.campaigns import RADIUS_M
from engine.demo.chains import chain_of
from engine.demo.city import City, read_city
from engine.demo.people import people
from engine.demo.replay import ACCURACY_M, LEAD_MS, PASSED_M, Player, Replay, first_shop, replayed
from engine.demo.scene import readable
from engine.demo.shift import Passed
from engine.demo.streets import Streets, read_streets
from engine.demo.tracks import RIDE, RUN, TrackError

SATURDAY_11_MS = 1_795_251_600_000


@pytest.fixture(scope="module")
def city() -> City:
    return read_city(readable=readable)


@pytest.fixture(scope="module")
def streets(city: City) -> Streets:
    return read_streets(city.plane)


@pytest.fixture(scope="module", params=[RUN, RIDE], ids=["run", "ride"])
def replay(request: pytest.FixtureRequest, city: City, streets: Streets) -> Replay:
    return replayed(request.param, city, streets, SATURDAY_11_MS)


def test_the_track_comes_to_its_shop_soon_after_the_start(replay: Replay, city: City) -> None:
    east_m, north_m = city.plane.to_metres(replay.track.lat_deg, replay.track.lng_deg)
    shop_m = city.plane.to_metres(np.array([replay.shop.lat_deg]), np.array([replay.shop.lng_deg]))
    within = np.hypot(east_m - shop_m[0], north_m - shop_m[1]) <= PASSED_M
    first_ms = int(replay.track.at_ms[np.argmax(within)] - replay.track.at_ms[0])
    assert within.any() and first_ms <= LEAD_MS + 5_000
    assert PASSED_M < RADIUS_M, "the fix is inside the campaign's fence"


def test_the_campaign_is_at_that_shop_and_the_move_is_named(replay: Replay) -> None:
    assert replay.placed.chain is chain_of(replay.shop)
    assert replay.placed.campaign.stores == [f"osm-{replay.shop.place_id}"]
    said = " ".join(replay.said)
    assert "recorded elsewhere: moved" in said and replay.shop.name in said and "simulated" in said
    assert 15 <= replay.seconds <= 90


def test_open_shops_come_before_the_others_and_only_chains_have_campaigns(city: City) -> None:
    shops = [shop for shop in city.shops if chain_of(shop) is not None]
    closed = next(shop for shop in shops if shop.hours is None)
    opened = next(shop for shop in shops if shop.hours == "24/7")
    foreign = next(shop for shop in city.shops if chain_of(shop) is None)
    met = [Passed(shop, 1.0, 0, stay) for shop, stay in ((foreign, 9.0), (closed, 5.0), (opened, 1.0))]
    found = first_shop(met, SATURDAY_11_MS)
    assert found is not None and found.shop is opened
    assert first_shop(met[:1], SATURDAY_11_MS) is None


@dataclass
class Ticking:
    at_ms: int = SATURDAY_11_MS

    def now_ms(self) -> int:
        return self.at_ms


def test_fixes_are_reported_once_when_they_are_due(replay: Replay) -> None:
    clock, places = Ticking(), SimpleNamespace(lat_deg=np.zeros(3), lng_deg=np.zeros(3))
    [guest, *_] = people([1, 2, 3], 3, seed=1)
    player = Player(replay, guest, places, clock)  # type: ignore[arg-type]  # two arrays and one method are asked for
    rows = player.report()
    assert len(rows) == 1 and rows[0].customer == guest.id and rows[0].accuracy_m == ACCURACY_M
    for _ in range(20):
        clock.at_ms += 1_000
        rows += player.report()
    due = int((replay.track.at_ms <= replay.track.at_ms[0] + 20_000).sum())
    assert len(rows) == due and len({row.at for row in rows}) == due
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert places.lat_deg[0] == pytest.approx(rows[-1].lat, abs=1e-6)


def test_a_track_that_is_none_is_refused_in_a_sentence(tmp_path: Path, city: City, streets: Streets) -> None:
    file = tmp_path / "walk.gpx.gz"
    file.write_bytes(gzip.compress(b"<gpx></gpx>"))
    with pytest.raises(TrackError, match=r"walk.gpx.gz: 0 fixes"):
        replayed(file, city, streets, SATURDAY_11_MS)
