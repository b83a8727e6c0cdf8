"""From a ping to its event at a subscriber: Tile38 over RESP, our API over HTTP in JSON and in MessagePack.

The same pings go to everybody from processes of their own, and a further process hears the events; the clock runs from
the first byte sent until the subscriber has the last event. Each server runs while the others rest. Ours has campaigns
that wait for a dwell of an hour at each fence, and every rule of transitions on; that the sets of events are those of
brute force is shown beside, by a smaller crowd and without hysteresis.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import numpy as np

from benchmarks import crew, evidence, world
from benchmarks.bars import Plan
from benchmarks.bodies import customer_id
from benchmarks.ground import Square
from benchmarks.peers import tile38
from benchmarks.peers.install import TILE38_VERSION
from benchmarks.peers.servers import folder
from benchmarks.positions import last_position
from benchmarks.pusher import Order, Post, Sent
from benchmarks.result import Row, compared
from benchmarks.rounds import Crowd, Moves, Wire
from benchmarks.stage import staged
from benchmarks.subscriber import Hello
from benchmarks.turns import told
from geo.sphere import distance_m

DWELL_S: Final = 3_600
ASKED: Final = 20
"""Customers whose last position is asked for after everything."""
CHECKED: Final = 1_000
CHECKED_ROUNDS: Final = 8
RIM_M: Final = 0.05
"""Pairs of a customer and a fence that come so near to its rim are left out: two earths differ by a little."""


@dataclass
class Track:
    """How far everybody has come at one server: the next round, and the moment of the last one."""

    next_round: int = 0
    last_ms: int = 0


@dataclass
class Lane:
    """One server as the bench uses it: where pings go, how, and who hears."""

    wire: Wire
    host: str
    port: int
    hello: Hello
    key: str = field(default="", repr=False)
    server: Any = None
    """Tile38, or our stage."""
    track: Track = field(default_factory=Track)


@dataclass(frozen=True)
class Window:
    """One run: how fast, and the latency of each event (seconds)."""

    pings_per_s: float
    events: int
    late_s: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One crowd on one lane."""

    plan: Plan
    crowd: Crowd

    async def run(self, lane: Lane, rounds: int, pings_per_s: float = 0.0) -> Window:
        """*rounds* rounds of everybody; in an open loop with the latencies."""
        plan = self.plan
        every_ms = int(1000 * plan.number("every_s"))
        base_ms = max(int(1000 * time.time()) - rounds * every_ms, lane.track.last_ms + every_ms)
        order = Order(
            lane.track.next_round, lane.track.next_round + rounds, base_ms - lane.track.next_round * every_ms, every_ms
        )
        lane.track.next_round, lane.track.last_ms = order.end, base_ms + rounds * every_ms
        post = Post(
            self.crowd, 0, 0, lane.wire, lane.host, lane.port, plan.count("connections"), plan.count("batch"), lane.key
        )
        count = plan.count("senders")
        async with crew.subscriber(lane.hello) as ear, crew.senders(post, count) as hands:
            sent = await crew.push(hands, msgspec.structs.replace(order, pings_per_s=pings_per_s))
            heard = await ear.quiet()
            late_s = np.zeros(0)
            if pings_per_s:
                with folder() as made:
                    late_s = _late_s(await ear.events(made / "events.npy"), self, order, sent)
        ended_s = max(heard.last_s, *(one.ended_s for one in sent))
        pings = sum(one.pings for one in sent)
        return Window(pings / (ended_s - min(one.began_s for one in sent)), heard.events, late_s)


def _late_s(events: np.ndarray, trial: Trial, order: Order, sent: list[Sent]) -> np.ndarray:
    """From the moment each event's ping was due until the event was heard."""
    crowd, batch, count = trial.crowd, trial.plan.count("batch"), len(sent)
    customer = events["customer"]
    number = (events["at_ms"] - order.base_ms) // order.every_ms - order.first
    if len(events) and not events["at_ms"].any():
        lat = np.stack([crowd.places(one)[0] for one in range(order.first, order.end)])
        number = np.abs(lat[:, customer] - events["lat"]).argmin(axis=0)
    ends = np.array([crowd.customers * one // count for one in range(count + 1)])
    sender = np.searchsorted(ends, customer, side="right") - 1
    requests = -(-np.diff(ends) // batch)
    at = number * requests[sender] + (customer - ends[sender]) // batch
    due_s = np.array([sent[s].due_s[r] for s, r in zip(sender.tolist(), at.tolist(), strict=True)])
    late: np.ndarray = events["heard_s"] - due_s
    return late


async def bench(plan: Plan) -> list[Row]:
    """Rounds in which Tile38 (without and with its file) and ours (both encodings) take turns."""
    name = f"{plan.count('fences') // 1_000}k"
    with folder() as made:
        equal = await _equal(plan, made)
    rows: list[Row] = []
    async with contextlib.AsyncExitStack() as opened:
        lanes = {
            "no": await opened.enter_async_context(_tile38(plan, append_only=False)),
            "yes": await opened.enter_async_context(_tile38(plan, append_only=True)),
        }
        ours = await opened.enter_async_context(_ours(plan, plan.settings, plan.count("customers")))
        lanes |= {"json": ours, "msgpack": replace(ours, wire="msgpack")}
        moves: Moves
        for moves, word in (("walk", "walking"), ("teleport", "teleporting")):
            trial = Trial(plan, _crowd(plan, moves, plan.count("customers")))
            rows += await _measured(trial, lanes, f"tile38_{name}_{word}", word, equal)
    return rows


async def _measured(trial: Trial, lanes: dict[str, Lane], name: str, word: str, equal: str) -> list[Row]:
    plan = trial.plan
    rounds = max(1, round(plan.count(f"{word}_pings") / trial.crowd.customers))
    found: dict[str, list[Window]] = {lane: [] for lane in lanes}
    for number in range(plan.count("rounds") + 1):
        for lane, server in lanes.items():
            window = await trial.run(server, rounds)
            told(f"{word}, {lane}: {window.pings_per_s:,.0f} pings/s, {window.events} events")
            if number:  # the first lets everybody be seen
                found[lane].append(window)
    rates = {lane: [one.pings_per_s for one in windows] for lane, windows in found.items()}
    asked = await _last_positions(trial, lanes)
    note = f"{rounds} rounds of {trial.crowd.customers} customers; {equal}; {asked}"
    events = {lane: round(float(np.median([one.events for one in windows]))) for lane, windows in found.items()}
    note += f"; events of a window {events}"
    pairs = {"": ("json", "no"), "_aof": ("json", "yes"), "_msgpack": ("msgpack", "no")}
    rows = [
        compared(plan.bar(name + end), rates[mine], rates[other], TILE38_VERSION, note)
        for end, (mine, other) in pairs.items()
    ]
    return [*rows, await _late(trial, lanes, f"{name}_p99", float(np.median(rates["no"])))]


async def _late(trial: Trial, lanes: dict[str, Lane], name: str, rate: float) -> Row:
    """p99 of both while Tile38's own rate is offered, whatever comes of it."""
    plan = trial.plan
    rounds = max(1, round(rate * plan.number("p99_s") / trial.crowd.customers))
    late: dict[str, list[float]] = {"json": [], "no": []}
    for _ in range(plan.count("p99_rounds")):
        for lane, values in late.items():
            window = await trial.run(lanes[lane], rounds, rate)
            values.append(1000 * float(np.percentile(window.late_s, 99)))
            told(f"{lane}: p99 {values[-1]:.0f} ms of {len(window.late_s)} events at {rate:,.0f} pings/s")
    note = f"open loop at {rate:,.0f} pings/s, from the moment a ping's request was due until its event was heard"
    row = compared(plan.bar(name), late["no"], late["json"], TILE38_VERSION, note)
    return msgspec.structs.replace(row, ours=row.theirs or 0.0, theirs=row.ours)


async def _last_positions(trial: Trial, lanes: dict[str, Lane]) -> str:
    """Raises RuntimeError unless both know where customers were last; ours as its checkpoints have it."""
    for lane in ("no", "json"):
        lat, lng = trial.crowd.places(lanes[lane].track.next_round - 1)
        for one in range(0, trial.crowd.customers, trial.crowd.customers // ASKED):
            place = (float(lat[one]), float(lng[one]))
            if lane == "no":
                answered = lanes[lane].server.place(customer_id(one))
            else:
                answered = await last_position(lanes[lane].server, customer_id(one), place)
            if np.abs(np.subtract(answered, place)).max() > 1e-6:
                raise RuntimeError(f"{lane} answers a wrong last position")
    return f"the last positions of {ASKED} customers answered by both"


# ── the servers ──────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _tile38(plan: Plan, *, append_only: bool) -> AsyncIterator[Lane]:
    with tile38.serving(append_only=append_only) as server:
        lat, lng = _circles(plan)
        await asyncio.to_thread(server.watch, lat, lng, plan.number("radius_m"))
        yield Lane("resp", "127.0.0.1", server.port, Hello("tile38", "127.0.0.1", server.port), server=server)


@asynccontextmanager
async def _ours(plan: Plan, settings: dict[str, Any], customers: int) -> AsyncIterator[Lane]:
    async with staged(settings) as stage:
        square = Square(plan.seed, plan.number("side_m"), plan.count("fences"))
        made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers)
        dwell = {"trigger": "dwell", "dwell_s": DWELL_S}
        await asyncio.to_thread(world.launch_everywhere, made, square, plan.number("radius_m"), dwell)
        await evidence.until_live(stage.database)
        parts = urlsplit(stage.stack.url)
        assert parts.hostname and parts.port
        hello = Hello("ours", parts.hostname, parts.port, made.app_key)
        yield Lane("json", parts.hostname, parts.port, hello, made.app_key, stage)


def _circles(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """(lat, lng) of the fences' centres."""
    return Square(plan.seed, plan.number("side_m"), plan.count("fences")).fences


def _crowd(plan: Plan, moves: Moves, customers: int) -> Crowd:
    step_m = plan.number("walk_m_s") * plan.number("every_s")
    return Crowd(plan.seed, moves, customers, plan.number("side_m"), step_m)


# ── the sets of events ───────────────────────────────────────────────────────────────────────────────────────────


async def _equal(plan: Plan, made: Path) -> str:
    """Raises RuntimeError unless all three wires tell what brute force finds, of walking and of teleporting."""
    compared_pairs = 0
    async with (
        _tile38(plan, append_only=False) as theirs,
        _ours(plan, plan.settings | {"hysteresis": "off"}, CHECKED) as ours,
    ):
        lanes, moves = (theirs, ours, replace(ours, wire="msgpack")), Moves.__args__  # type: ignore[attr-defined]
        for turn, lane in enumerate(lanes):
            for one in moves:
                crowd = _crowd(plan, one, CHECKED)
                compared_pairs += await _same_events(plan, crowd, lane, made / f"{turn}-{one}.npy")
    return f"all sets of events equal brute force ({compared_pairs} events of {CHECKED} customers)"


async def _same_events(plan: Plan, crowd: Crowd, lane: Lane, path: Path) -> int:
    """Events compared. Each run begins where the last one left everybody, so its first round is not compared."""
    first, every_ms = lane.track.next_round, int(1000 * plan.number("every_s"))
    end = first + CHECKED_ROUNDS
    base_ms = max(int(1000 * time.time()) - CHECKED_ROUNDS * every_ms, lane.track.last_ms + every_ms) - first * every_ms
    post = Post(crowd, 0, 0, lane.wire, lane.host, lane.port, 1, plan.count("batch"), lane.key)
    async with crew.subscriber(lane.hello) as ear, crew.senders(post, 1) as hands:
        await crew.push(hands, Order(first, first + 1, base_ms, every_ms))
        await ear.quiet()
        await ear.events(path)
        await crew.push(hands, Order(first + 1, end, base_ms, every_ms))
        await ear.quiet()
        events = await ear.events(path)
    lane.track.next_round, lane.track.last_ms = end, base_ms + end * every_ms
    numbers = await _numbers(lane, events["fence"])
    told_ = Counter(zip(events["customer"].tolist(), numbers.tolist(), events["enter"].tolist(), strict=True))
    found, doubtful = _brute(plan, crowd, first, end)
    one = {key: n for key, n in told_.items() if key[:2] not in doubtful}
    other = {key: n for key, n in found.items() if key[:2] not in doubtful}
    if one != other:
        differing = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
        raise RuntimeError(
            f"{lane.wire}, {crowd.moves}: {sum(one.values())} events, brute force finds {sum(other.values())}; "
            f"{len(differing)} differ, such as {[(key, one.get(key), other.get(key)) for key in differing[:3]]}"
        )
    return sum(one.values())


async def _numbers(lane: Lane, fence: np.ndarray) -> np.ndarray:
    """Numbers of the circles: Tile38 tells them; ours tells the store, whose code has the number."""
    if lane.wire == "resp":
        return fence
    stores = await lane.server.database.fetch("SELECT id, code FROM store")
    known = {row["id"]: int(row["code"][1:]) for row in stores}
    return np.array([known[one] for one in fence.tolist()], np.int64)


def _brute(plan: Plan, crowd: Crowd, first: int, end: int) -> tuple[Counter[Any], set[Any]]:
    """Every customer against every circle in each round: (events behind the first round, pairs too near a rim)."""
    lat, lng = _circles(plan)
    radius_m = plan.number("radius_m")
    found: Counter[Any] = Counter()
    doubtful: set[Any] = set()
    before: set[tuple[int, int]] = set()
    for number in range(first, end):
        inside = set()
        for one, (at_lat, at_lng) in enumerate(zip(*crowd.places(number), strict=True)):
            near = np.flatnonzero(np.abs(lat - at_lat) < 1.1 * radius_m / 111_000)
            away_m = distance_m(lat[near], lng[near], at_lat, at_lng)
            inside |= {(one, int(fence)) for fence in near[away_m <= radius_m]}
            doubtful |= {(one, int(fence)) for fence in near[np.abs(away_m - radius_m) < RIM_M]}
        if number > first:
            found.update((*pair, True) for pair in inside - before)
            found.update((*pair, False) for pair in before - inside)
        before = inside
    return found, doubtful
