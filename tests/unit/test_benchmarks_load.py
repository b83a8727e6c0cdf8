"""The load: its bytes are pings the API takes, its customers move as said, its lines carry what they are given."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import evidence
from benchmarks.bodies import Bodies, customer_id
from benchmarks.generator import Generator, Order, World, _due
from benchmarks.ground import MIDDLE, Square, Steppers, Walkers, degrees
from benchmarks.lines import Answer, Lines
from engine.http.pings import decode_pings
from engine.standin.ledger import Arrival, Ledger
from geo.sphere import distance_m

AT_MS = 1_784_000_000_007
WALK = World("http://127.0.0.1:1", "key", 7, 1_000.0, 1_200, "walk")


def test_a_batch_is_what_the_api_takes() -> None:
    lat, lng = np.array([10.0, 60.1234567, 89.9999999]), np.array([99.9999999, 24.9, 10.0000001])
    pings, single = decode_pings(Bodies(10).batch(4, lat, lng, AT_MS))
    assert not single
    assert [ping.customer for ping in pings] == [customer_id(index) for index in (4, 5, 6)]
    assert [ping.lat for ping in pings] == pytest.approx(lat, abs=1e-9)
    assert [ping.lng for ping in pings] == pytest.approx(lng, abs=1e-9)
    assert {round(ping.at.timestamp() * 1000) for ping in pings} == {AT_MS}


def test_one_ping_bodies_are_the_rows_of_the_batch() -> None:
    lat, lng = np.array([60.1, 60.2]), np.array([24.1, 24.2])
    bodies = Bodies(5)
    many, _ = decode_pings(bodies.batch(2, lat, lng, AT_MS))
    ones = [decode_pings(body) for body in bodies.singles(2, lat, lng, AT_MS)]
    assert [pings[0] for pings, _ in ones] == list(many)
    assert all(single for _, single in ones)


def test_a_position_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(AssertionError, match="two digits"):
        Bodies(1).batch(0, np.array([9.9]), np.array([24.0]), AT_MS)


def test_walkers_walk_within_the_square_and_never_jump() -> None:
    side_m, walkers = 300.0, Walkers(3, 300.0, 500)
    places = [walkers.positions(0, 500, 1_000.0 + 10.0 * turn) for turn in range(60)]
    steps_m = [distance_m(*old, *new) for old, new in itertools.pairwise(places)]
    assert np.max(steps_m) <= 14.05
    assert np.median(steps_m) == pytest.approx(14.0, abs=0.1)
    low, high = degrees(np.array([-side_m / 2, side_m / 2]), np.array([-side_m / 2, side_m / 2]))[0]
    assert all(low - 1e-9 <= lat.min() and lat.max() <= high + 1e-9 for lat, _ in places)


def test_the_same_seed_is_the_same_world() -> None:
    assert np.array_equal(Square(5, 900.0, 9).fences, Square(5, 900.0, 9).fences)
    assert not np.array_equal(Square(5, 900.0, 9).fences, Square(6, 900.0, 9).fences)


def test_steppers_are_in_the_fence_and_a_kilometre_away_by_turns() -> None:
    square = Square(5, 900.0, 1)
    (lat,), (lng,) = square.fences
    steppers = Steppers(square, 4)
    away_m = [distance_m(*steppers.positions(0, 4, 0.0), lat, lng) for _ in range(4)]
    assert np.allclose(away_m[0::2], 0.0, atol=0.1)
    assert np.allclose(away_m[1::2], 1_000.0, atol=5.0)


def test_flat_degrees_are_metres_on_the_ground() -> None:
    lat, lng = degrees(np.array([3_000.0]), np.array([4_000.0]))
    assert distance_m(lat, lng, *MIDDLE)[0] == pytest.approx(5_000.0, abs=5.0)


def test_customers_take_turns() -> None:
    generator = Generator(WALK)
    turns = [generator._turn(500) for _ in range(4)]
    assert turns == [(0, 500), (500, 1_000), (1_000, 1_200), (0, 500)]


def test_an_open_loop_is_due_whatever_is_answered() -> None:
    due = list(_due(Order(100, 1, 2.0, pings_per_s=1_000.0), 50.0))
    assert due == pytest.approx([50.0 + 0.1 * turn for turn in range(20)])


@contextmanager
def answering(answer: bytes, cut: int) -> Iterator[tuple[int, list[bytes]]]:
    """A server of one connection that reads a request of any size and answers in two pieces; (port, what it read)."""
    listening = socket.create_server(("127.0.0.1", 0))
    read: list[bytes] = []

    def serve() -> None:
        line, _ = listening.accept()
        with line:
            for _ in range(2):
                read.append(_request(line))
                line.sendall(answer[:cut])
                line.sendall(answer[cut:])

    server = threading.Thread(target=serve)
    server.start()
    yield listening.getsockname()[1], read
    server.join(5)
    listening.close()


def _request(line: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += line.recv(1_000)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.split(b"ength: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(65_536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("cut", [5, 30, 60])
def test_lines_carry_large_requests_and_answers_in_pieces(cut: int) -> None:
    answer = b'HTTP/1.1 202 Accepted\r\nContent-Length: 27\r\nx: y\r\n\r\n{"accepted":3,"refused":[]}'
    body = b"x" * 6_000_000
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with answering(answer, cut) as (port, read):
        lines = Lines("127.0.0.1", port, 1)
        for _ in range(2):
            lines.send(request)
            assert (lines.free, lines.busy) == (0, 1)
            found: list[Answer] = []
            deadline_s = time.monotonic() + 10
            while not found and time.monotonic() < deadline_s:
                found = lines.answers(0.1)
            assert [(one.status, one.body) for one in found] == [(202, b'{"accepted":3,"refused":[]}')]
            assert lines.free == 1
        lines.close()
    assert read == [request, request]


def test_the_first_accepted_arrival_counts_and_a_torn_line_does_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for at_ms, tag, accepted in ((1, "a", False), (2, "a", True), (3, "a", True), (4, "b", True)):
        ledger.append(Arrival(ledger.next_seq, at_ms, "phone", 200, "ok", accepted, tag=tag))
    ledger.close()
    with ledger.path.open("ab") as file:
        file.write(msgspec.json.encode(Arrival(9, 9, "phone", 200, "ok", True, tag="c"))[:-4])
    assert evidence.arrivals(ledger.path) == {"a": 2, "b": 4}
