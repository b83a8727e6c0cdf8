"""The sender against its peers and h2load on one native stub, all by turns."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks import send_world
from benchmarks.bars import Plan
from benchmarks.peers import stub
from benchmarks.peers.push import message, running
from benchmarks.peers.push.running import MODES, Spent
from benchmarks.result import Row, compared, row
from benchmarks.send_stage import Sending, cpu_s, end_of, outcomes, sending, until_empty

ROUND_S = 120.0
NATIVE = 1.5
"""h2load must reach so many times our rate, or the stub is what both are bound by."""


@dataclass
class Turns:
    """What each side's rounds took, at one distance."""

    ours: list[Spent] = field(default_factory=list)
    firebase: list[Spent] = field(default_factory=list)
    pyfcm: list[Spent] = field(default_factory=list)
    node: list[Spent] = field(default_factory=list)
    h2load: list[Spent] = field(default_factory=list)


async def bench(plan: Plan) -> list[Row]:
    """At the plan's distance."""
    running.require()
    async with sending(plan, native=True) as stage:
        await send_world.people(stage.database, plan.count("messages"), send_world.PUSH)
        campaign = await send_world.campaign(stage.database)
        await stage.database.execute("ANALYZE")
        turns, mode = await _rounds(stage, plan, campaign)
    return _rows(plan, turns, mode)


async def _rounds(stage: Sending, plan: Plan, campaign: int) -> tuple[Turns, str]:
    url, ca, count, few = stage.url, stage.ca, plan.count("messages"), plan.count("few")
    assert ca is not None
    pipes = plan.count("connections"), plan.count("streams")
    body = stage.folder / "message.json"
    body.write_bytes(_body())
    turns, mode = Turns(), await _best_mode(url, ca, few)
    peers: list[tuple[list[Spent], Callable[[], Awaitable[Spent]]]] = [
        (turns.firebase, lambda: running.firebase(url, ca, few)),
        (turns.pyfcm, lambda: running.pyfcm(url, ca, few, mode)),
        (turns.node, lambda: running.node(url, ca, count, *pipes)),
        (turns.h2load, lambda: running.h2load(url, body, count, *pipes)),
    ]
    async with stage.sender() as process:
        for nth in range(plan.count("rounds") + 1):
            await send_world.queue(stage.database, campaign, count, nth)
            spent_s, began_s = cpu_s(process), time.monotonic()
            await stage.go()
            ended_s = await until_empty(stage.database, ROUND_S)
            if nth:  # the first warms the sender up: connections, statements, the growth of its concurrency
                turns.ours.append(Spent(count, cpu_s(process) - spent_s, ended_s - began_s))
                for found, turn in peers:
                    found.append(await turn())
    states = await outcomes(stage.database)
    assert states == {"sent": count * (plan.count("rounds") + 1)}, states
    return turns, mode


async def _best_mode(url: str, ca: Path, few: int) -> str:
    """The mode of pyfcm that spends the least processor time a message."""
    found = {mode: await running.pyfcm(url, ca, max(200, few // 10), mode) for mode in MODES}
    return max(found, key=lambda mode: found[mode].a_cpu_second)


def _rows(plan: Plan, turns: Turns, mode: str) -> list[Row]:
    end, where = end_of(plan)
    each_us = [one.cpu_s / one.sent * 1e6 for one in turns.ours]
    rates = [one.a_second for one in turns.ours]
    ours = [one.a_cpu_second for one in turns.ours]
    note = f"{where}; {turns.ours[0].sent} messages a round, {min(rates):.0f} to {max(rates):.0f} a second"
    rows = [row(plan.bar(f"cpu_message{end}"), each_us, note)]
    for name, theirs, what in (
        ("firebase_admin", turns.firebase, "send_each_async, 500 a call"),
        ("pyfcm", turns.pyfcm, f"mode {mode}, the best of {', '.join(MODES)}"),
        ("fcm_v1_http2", turns.node, "10 connections, 90 streams each"),
    ):
        rates_of = f"{min(one.a_second for one in theirs):.0f} to {max(one.a_second for one in theirs):.0f} a second"
        told = f"{where}; ours from lease to recorded outcome, theirs their calls only: {what}, {rates_of}"
        figures = [one.a_cpu_second for one in theirs]
        rows.append(compared(plan.bar(f"cpu_{name}{end}"), ours, figures, theirs[0].version, told))
    return [*rows, _against_h2load(plan, turns)]


def _against_h2load(plan: Plan, turns: Turns) -> Row:
    end, where = end_of(plan)
    rates, theirs = [one.a_second for one in turns.ours], [one.a_second for one in turns.h2load]
    each_us = [one.cpu_s / one.sent * 1e6 for one in turns.h2load]
    note = f"{where}; nginx {stub.version()} as stub, h2load's own CPU {min(each_us):.1f} µs a message at the least"
    found = compared(plan.bar(f"rate_h2load{end}"), rates, theirs, turns.h2load[0].version, note)
    if found.theirs is not None and found.theirs < NATIVE * found.ours:
        return msgspec.structs.replace(found, note=f"{note}; bound by the stub: h2load is not 1.5 times as fast")
    return found


def _body() -> bytes:
    told = {"title": message.TITLE, "body": message.BODY}
    whole = {"token": message.registration(1), "notification": told, "data": message.data(), **message.platforms()}
    return msgspec.json.encode({"message": whole, "validate_only": False})
