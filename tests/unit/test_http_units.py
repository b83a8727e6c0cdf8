"""The door's parts by themselves: no server, no clock."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Any

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from engine.directory.consents import BITS, PURPOSES, to_bits, to_purposes
from engine.directory.directory import SILENCE_S, UNKNOWN, Directory
from engine.http import keys, tokens
from engine.http.body import read_body
from engine.http.codec import JSON, MSGPACK
from engine.http.decode import decode
from engine.http.limits import Gate, RateLimit
from engine.http.nearby import box
from engine.http.outcome import SENTENCES, outcome
from engine.http.params import parse_query
from engine.http.pings import REASONS, Ping, Pings, columns, decode_pings, judge, judge_one, row
from engine.http.problems import MOST_FAULTS, TITLES, Fault, Problem
from engine.http.searches import SearchQuery
from engine.http.tasks import put_away
from engine.http.wakes import MOST_A_CUSTOMER, Wakes
from engine.http.wire import Page, Refusal, from_ms, to_ms
from engine.log.entries import COLUMNS, PingBatch
from geo.sphere import distance_m

NOW_MS = 1_790_000_000_000


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: Annotated[int, Meta(ge=1)]
    b: str = ""


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rows: Annotated[list[Inner], Meta(min_length=1, max_length=3)]
    one: Inner | None = None
    name: Annotated[str, Meta(max_length=3)] = ""


def faults(body: bytes, kind: Any = Outer, rows: str = "rows") -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(Problem) as caught:
        decode(kind, body, rows)
    return [(fault.row, fault.column, fault.code) for fault in caught.value.errors or []]


def test_every_fault_of_a_body_is_told() -> None:
    body = b'{"rows": [{"a": 1}, {"a": 0, "c": 1}, {"b": 2}], "one": {"a": "x"}, "name": "long", "more": 1}'
    assert faults(body) == [
        (None, "more", "unknown_field"),
        (2, "c", "unknown_field"),
        (2, "a", "range"),
        (3, "a", "missing"),
        (3, "b", "type"),
        (None, "one.a", "type"),
        (None, "name", "length"),
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"rows": []}', [(None, "rows", "length")]),
        (b'{"rows": [{"a":1},{"a":1},{"a":1},{"a":1}]}', [(None, "rows", "length")]),
        (b'{"rows": 1}', [(None, "rows", "type")]),
        (b'{"rows": [1, null]}', [(1, None, "type"), (2, None, "type")]),
        (b"[]", [(None, None, "type")]),
        (b"{}", [(None, "rows", "missing")]),
    ],
)
def test_faults_of_shape(body: bytes, told: list[Any]) -> None:
    assert faults(body) == told


def test_a_null_where_null_is_meant_is_no_fault() -> None:
    assert faults(b'{"rows": [{"a": 1}], "one": null, "name": "long"}') == [(None, "name", "length")]


def test_a_list_of_faults_is_bounded() -> None:
    problem = Problem("invalid", errors=[Fault("x", "y", row=n) for n in range(MOST_FAULTS + 5)])
    body = msgspec.json.decode(problem.body())
    assert len(body["errors"]) == MOST_FAULTS and str(MOST_FAULTS + 5) in body["detail"]


_values = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["", ":", " :x", '":', "\\", "é", "a:b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ":", 'q"']), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("body", [b'{"a":"\\u0022:","b":1,"b":2}', b'{"a":"\\u0000"}', b'{"a":":", "a" :":"}'])
def test_no_spelling_hides_a_repeated_name_or_a_nul(body: bytes) -> None:
    """A quote that is spelt as an escape would make up for a name in the count."""
    with pytest.raises(Problem):
        JSON.require_strict(body)


@given(_values, st.sampled_from(["", " ", "\n\t"]), st.booleans(), st.data())
def test_a_repeated_name_is_found_in_any_spelling(
    value: Any, space: str, ascii_only: bool, data: st.DataObject
) -> None:
    """Strictly JSON passes; with one member written twice it does not, wherever that is and however it is spelt."""
    text = json.dumps(value, separators=("," + space, space + ":" + space), ensure_ascii=ascii_only)
    JSON.require_strict(text.encode())
    members = re.findall(r'"[ab:]"\s*:\s*(?:null|-?\d|"[^"\\]*")(?=\s*[,}])', text)
    places = [(m, at) for m in members for at in [match.start() for match in re.finditer(re.escape(m), text)]]
    members_at = [(m, at) for m, at in places if text[:at].rstrip().endswith(("{", ","))]
    if members_at:
        member, at = data.draw(st.sampled_from(members_at))
        with pytest.raises(Problem):
            JSON.require_strict((text[:at] + member + "," + text[at:]).encode())


@pytest.mark.parametrize(
    "body", [b'{"rows":[{"a":1,"a":1}]}', b'{"rows":[{"a":1,"\\u0061":1}]}', b'{"rows":[{"a":1}],"rows":[{"a":1}]}']
)
def test_repeated_names_are_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode(Outer, body)
    assert caught.value.kind == "malformed_json"


# ── Pings ──

instants = st.integers(-(10**14), 10**15).map(from_ms)
near_now = st.integers(-3_700_000, 70_000).map(lambda ms: from_ms(NOW_MS + ms))
pings = st.builds(
    Ping,
    customer=st.just("c"),
    lat=st.one_of(st.just(0.0), st.floats(-90, 90)),
    lng=st.one_of(st.just(0.0), st.floats(-180, 180)),
    at=st.one_of(near_now, instants),
    accuracy_m=st.one_of(st.none(), st.floats(-1e3, 1e4), st.floats(allow_nan=False, allow_infinity=False)),
)
entries = st.one_of(st.just(UNKNOWN), st.integers(0, 1 << 20))


@given(st.lists(st.tuples(pings, entries), min_size=1, max_size=20), st.sampled_from([-1, 0, 5]))
def test_one_ping_is_judged_as_a_column_of_them(given_pings: list[tuple[Ping, int]], mine: int) -> None:
    rows = [ping for ping, _ in given_pings]
    packed = np.array([entry for _, entry in given_pings], np.int64)
    batch = columns(rows, packed >> BITS)
    reasons = judge(batch, packed, NOW_MS, mine).tolist()
    assert reasons == [judge_one(ping, entry, NOW_MS, mine) for ping, entry in given_pings]
    good = [row(ping, entry >> BITS) for (ping, entry), reason in zip(given_pings, reasons, strict=True) if not reason]
    singles, together = (
        PingBatch.of(good) if good else batch.cut(0, 0),
        batch.take(np.flatnonzero(np.array(reasons) == 0)),
    )
    for name, dtype in COLUMNS:
        assert getattr(singles, name).dtype == dtype
        assert np.array_equal(getattr(singles, name), getattr(together, name), equal_nan=True)


def test_each_reason_has_a_sentence_and_its_status() -> None:
    for reason in REASONS:
        with pytest.raises(Problem) as caught:
            outcome(0, [Refusal(1, reason)], True)
        assert 400 <= caught.value.status < 500 and caught.value.errors and SENTENCES[reason]
    with pytest.raises(Problem) as caught:
        outcome(0, [Refusal(1, "no_consent"), Refusal(2, "unknown_customer")], False)
    assert caught.value.kind == "refused"
    assert outcome(1, [Refusal(2, "no_consent")], False).accepted == 1


def test_a_customer_named_like_a_field_is_no_repetition() -> None:
    body = b'{"customer":"lat","lat":1.5,"lng":2,"at":"2026-01-01T00:00:00Z"}'
    assert decode_pings(body)[0][0].customer == "lat"
    with pytest.raises(Problem):
        decode_pings(body[:-1] + b',"lat":1.5}')
    with pytest.raises(Problem):
        decode_pings(b'{"pings":[' + body + b'],"pings":[' + body + b"]}")
    with pytest.raises(Problem):
        decode_pings(body[:-1] + b',"accuracy_m":1,"accuracy_m":2}')


def test_a_name_repeated_in_another_spelling_is_found_whatever_stands_around_it() -> None:
    """One row has a name twice in its short form, another once in a long one: the count alone would be right."""
    row = {"customer": "lat", "lat": 1.5, "lng": 2.0, "at": "2026-01-01T00:00:00Z"}
    assert decode_pings(msgpack.packb({"pings": [row, row]}), MSGPACK)[0][0].customer == "lat"
    good = msgpack.packb(row | {"customer": "c"})
    long = good.replace(b"\xa3lat\xcb", b"\xd9\x03lat\xcb")
    assert decode_pings(b"\x81\xa5pings\x92" + good + long, MSGPACK)[0][1].lat == 1.5
    twice = b"\x85\xa3lat\x05" + good[1:]
    for batch in (twice + long, long + twice, long + b"\x85\xd9\x03lat\x05" + good[1:]):
        with pytest.raises(Problem, match="malformed_msgpack"):
            decode_pings(b"\x81\xa5pings\x92" + batch, MSGPACK)


def test_pings_do_not_show_positions() -> None:
    ping = Ping("c", 60.123, 24.456, datetime.datetime.now(datetime.UTC))
    assert "60.1" not in repr(ping) + repr(Pings([ping]))


# ── Limits ──


def test_a_bucket_refills_with_time() -> None:
    rate = RateLimit(60)
    assert [rate.take("a", 0.0) for _ in range(61)] == [*range(59, -1, -1), -1]
    assert rate.take("a", 1.0) == 0 and rate.take("a", 1.0) == -1
    assert rate.take("b", 1.0) == 59
    assert rate.take("a", 1000.0) == 59


def test_a_gate_lets_go_also_after_a_failure() -> None:
    gate = Gate(1)
    with pytest.raises(ValueError, match="x"), gate:
        raise ValueError("x")
    with gate, pytest.raises(Problem), gate:
        pass
    assert gate.inside == 0


def test_streams_are_bounded_and_woken_by_number() -> None:
    wakes = Wakes()
    with wakes.stream(7) as event, wakes.stream(8) as other:
        for noise in ("8x", "", "-8", "9" * 40, "²"):
            wakes.somebody(noise)
        assert not event.is_set() and not other.is_set()
        wakes.somebody("7")
        assert event.is_set() and not other.is_set()
        wakes.everybody()
        assert other.is_set()
    streams = [wakes.stream(7) for _ in range(MOST_A_CUSTOMER)]
    with contextlib.ExitStack() as stack:
        for stream in streams:
            stack.enter_context(stream)
        with pytest.raises(Problem), wakes.stream(7):
            pass
    assert wakes.streams == 0
    wakes.close()
    with pytest.raises(Problem), wakes.stream(7):
        pass


# ── Directory ──


class Asked:
    """Answers entries, counts the questions, and lets a test interfere while one is under way."""

    def __init__(self, entries: dict[str, int]) -> None:
        self.entries = entries
        self.times = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def __call__(self, ids: list[str]) -> dict[str, int]:
        self.times += 1
        found = {one: self.entries[one] for one in ids if one in self.entries}
        self.meanwhile()
        return found


class Ticks:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_the_directory_remembers_only_while_the_wire_is_heard() -> None:
    asked, ticks = Asked({"a": 65}), Ticks()
    directory = Directory(asked, ticks)
    assert (await directory.look_up(["a", "b"])).tolist() == [65, UNKNOWN]
    await directory.look_up(["a"])
    assert asked.times == 2 and directory.known("a") is None
    directory.heard()
    await directory.look_up(["a"])
    await directory.look_up(["a", "a"])
    assert asked.times == 3 and directory.known("a") == 65
    ticks.now_s = SILENCE_S + 0.01
    assert directory.known("a") is None
    directory.deaf()
    ticks.now_s = 0.0
    directory.heard()
    await directory.look_up(["a"])
    assert asked.times == 4


@pytest.mark.parametrize("interference", ["forget", "deaf"])
async def test_an_answer_older_than_a_change_is_not_kept(interference: str) -> None:
    asked = Asked({"a": 65})
    directory = Directory(asked, Ticks())
    directory.heard()

    def change() -> None:
        if interference == "forget":
            directory.forget("a")
        else:
            directory.deaf()
            directory.heard()

    asked.meanwhile = change
    await directory.look_up(["a"])
    assert directory.known("a") is None


def test_consents_as_bits() -> None:
    assert to_bits({"location": True, "history": None}, 2) == 3
    assert to_bits({"location": False}, 63) == 62
    assert to_purposes(63) == dict.fromkeys(PURPOSES, True)


# ── Keys, tokens, query, body, box ──


def test_keys_are_long_and_stored_as_digests() -> None:
    text = keys.mint("till")
    assert text.startswith(keys.prefix_of(text)) and len(text.split("_", 3)[3]) == 49
    assert len(keys.digest(text)) == 32 and keys.mint("till") != text
    assert text not in repr(keys.NewKey(1, keys.prefix_of(text), text))


def test_tokens_expire_by_the_given_clock() -> None:
    token, expires_ms = tokens.mint(b"k" * 32, 112, NOW_MS, 60)
    known = tokens.Tokens(b"k" * 32)
    assert known.find(token.encode(), NOW_MS) == (112, expires_ms)
    assert known.find(token.encode(), expires_ms) is None
    assert tokens.Tokens(b"x" * 32).find(token.encode(), NOW_MS) is None


def test_a_query_tells_all_its_faults() -> None:
    assert parse_query(Page, b"limit=5").limit == 5
    with pytest.raises(Problem) as caught:
        parse_query(SearchQuery, b"lat=nan&lng=200&radius=1")
    told = [(fault.column, fault.code) for fault in caught.value.errors or []]
    assert told[0] == ("radius", "unknown_field") and {column for column, _ in told} == {"radius", "q", "lat", "lng"}


async def test_a_body_is_read_up_to_its_limit() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    with pytest.raises(Problem) as caught:
        await read_body({b"content-type": b"application/json"}, receive, 95)
    assert caught.value.kind == "too_large"


class Circle(msgspec.Struct):
    lat: float
    lng: float
    radius_m: float
    open_now: bool = False


@given(st.floats(-89.9, 89.9), st.floats(-180, 180), st.floats(1, 50_000), st.floats(0, 2 * math.pi), st.floats(0, 1))
def test_the_box_holds_the_circle(lat: float, lng: float, radius_m: float, bearing: float, share: float) -> None:
    """Points at any bearing within the radius (great-circle destination) are never outside the box."""
    far = radius_m * share / 6_371_008.8
    phi = math.asin(
        math.sin(math.radians(lat)) * math.cos(far) + math.cos(math.radians(lat)) * math.sin(far) * math.cos(bearing)
    )
    east = math.atan2(
        math.sin(bearing) * math.sin(far) * math.cos(math.radians(lat)),
        math.cos(far) - math.sin(math.radians(lat)) * math.sin(phi),
    )
    there = math.degrees(phi), (lng + math.degrees(east) + 540) % 360 - 180
    if float(distance_m(*(np.float64(v) for v in (lat, lng, *there)))) > radius_m:
        return
    around = box(Circle(lat, lng, radius_m))
    apart = abs(there[1] - lng)
    assert around["south"] - 1e-9 <= there[0] <= around["north"] + 1e-9
    assert min(apart, 360 - apart) <= around["width"] + 1e-9


def test_times_survive_the_way_through_milliseconds() -> None:
    assert to_ms(from_ms(NOW_MS)) == NOW_MS
    assert from_ms(10**18).year == 9999 and from_ms(-(10**18)).year == 1


def test_every_problem_is_a_client_error_but_two() -> None:
    assert {status for status, _ in TITLES.values() if status >= 500} == {500, 503}


async def test_a_task_that_swallows_its_cancellation_is_put_away() -> None:
    swallowed: list[int] = []

    async def stubborn() -> None:
        while len(swallowed) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(1)
        raise ValueError("last words")

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await put_away(task)
    assert task.done() and len(swallowed) == 2
