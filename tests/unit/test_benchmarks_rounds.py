"""The crowd of the matching's benches: the same pings on every wire."""

from __future__ import annotations

from typing import Any

import hiredis
import msgspec
import numpy as np
import pytest

from benchmarks import bars
from benchmarks.bodies import customer_id
from benchmarks.ground import METRES_A_DEGREE
from benchmarks.match_tile38 import Trial, _late_s
from benchmarks.pusher import Order, Sent
from benchmarks.rounds import Crowd, Moves, writer
from benchmarks.subscriber import HEARD
from engine.http.codec import JSON, MSGPACK
from engine.http.pings import columns, decode_pings

AT_MS = 1_790_000_000_123
MOVES: list[Moves] = ["walk", "teleport"]


def a_crowd(moves: Moves = "walk") -> Crowd:
    return Crowd(7, moves, 50, 2_000.0, 1.4)


@pytest.mark.parametrize("moves", MOVES)
def test_every_wire_says_the_same(moves: Moves) -> None:
    lat, lng = a_crowd(moves).places(3)
    json, _ = decode_pings(writer("json", 50).batch(10, lat[10:30], lng[10:30], AT_MS))
    packed, _ = decode_pings(writer("msgpack", 50).batch(10, lat[10:30], lng[10:30], AT_MS), MSGPACK)
    numbers = np.arange(10, 30)
    for one, other in zip(columns(json, numbers).columns, columns(packed, numbers).columns, strict=True):
        assert one.tolist() == other.tolist()
    assert [ping.customer for ping in packed] == [customer_id(number) for number in range(10, 30)]
    reader = hiredis.Reader()
    reader.feed(writer("resp", 50).batch(10, lat[10:30], lng[10:30], AT_MS))
    said: list[Any] = [reader.gets() for _ in range(20)]
    assert reader.gets() is False and said[0][:4] == [b"SET", b"fleet", customer_id(10).encode(), b"POINT"]
    assert [(float(one[4]), float(one[5])) for one in said] == [(ping.lat, ping.lng) for ping in json]
    assert JSON.media != MSGPACK.media


def test_who_walks_walks_and_who_jumps_jumps() -> None:
    first, second = (np.stack(a_crowd().places(number)) for number in (4, 5))
    north_m, east_m = (second - first) * METRES_A_DEGREE * np.array([[1.0], [0.4974]])
    walked_m = np.hypot(north_m, east_m)
    assert walked_m.max() < 1.5 and np.median(walked_m) > 1.3  # who turns at the rim gets less far
    one, other = (np.stack(a_crowd("teleport").places(number)) for number in (4, 5))
    assert np.median(np.abs(one - other)) * METRES_A_DEGREE > 300.0
    assert np.array_equal(one, np.stack(a_crowd("teleport").places(4)))


def test_an_event_is_late_by_the_request_its_ping_came_with() -> None:
    plan = bars.load()["match_tile38_10k"]
    trial = Trial(msgspec.structs.replace(plan, workload={"batch": 10.0}), a_crowd())
    order = Order(2, 4, 1_000, 500)
    # Two senders of 25 customers: three requests a round each.
    sent = [Sent(0, 0, 50, [float(n) for n in range(6)]), Sent(0, 0, 50, [100.0 + n for n in range(6)])]
    events = np.zeros(3, HEARD)
    events["customer"], events["heard_s"] = [0, 24, 49], 200.0
    events["at_ms"] = [1_000 + 2 * 500, 1_000 + 3 * 500, 1_000 + 3 * 500]
    assert _late_s(events, trial, order, sent).tolist() == [200.0 - 0, 200.0 - 5, 200.0 - 105]
    lat = np.stack([trial.crowd.places(number)[0] for number in (2, 3)])
    events["at_ms"], events["lat"] = 0, [lat[0, 0], lat[1, 24], lat[1, 49]]
    assert _late_s(events, trial, order, sent).tolist() == [200.0 - 0, 200.0 - 5, 200.0 - 105]
