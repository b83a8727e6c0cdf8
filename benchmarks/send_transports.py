"""The HTTP/2 client libraries that the FCM channel could stand on, each in a process of its own, by turns."""

from __future__ import annotations

from benchmarks.bars import Plan
from benchmarks.peers import stub
from benchmarks.peers.push import running
from benchmarks.peers.push.running import Spent
from benchmarks.result import Row, compared
from benchmarks.send_stage import end_of, sending

CHOSEN, OTHERS = "wreq", ("pyreqwest", "pycurl")


async def bench(plan: Plan) -> list[Row]:
    """The chosen one against the others."""
    running.require()
    turns: dict[str, list[Spent]] = {library: [] for library in (CHOSEN, *OTHERS)}
    async with sending(plan, native=True) as stage:
        assert stage.ca is not None
        for nth in range(plan.count("rounds") + 1):
            for library, found in turns.items():
                spent = await running.wire(library, stage.url, stage.ca, plan.count("messages"), plan.count("flying"))
                if nth:  # the first fills the caches
                    found.append(spent)
    return [_row(plan, turns, other) for other in OTHERS]


def _row(plan: Plan, turns: dict[str, list[Spent]], other: str) -> Row:
    _, where = end_of(plan)
    ours, theirs = turns[CHOSEN], turns[other]
    note = (
        f"{where}; two connections, {plan.count('flying')} requests at once; nginx {stub.version()} as stub; "
        f"{CHOSEN} {ours[0].version} {_told(ours)}, {other} {_told(theirs)}"
    )
    figures = [one.a_cpu_second for one in ours], [one.a_cpu_second for one in theirs]
    return compared(plan.bar(f"transport_{other}"), *figures, theirs[0].version, note)


def _told(rounds: list[Spent]) -> str:
    each_us = [one.cpu_s / one.sent * 1e6 for one in rounds]
    rates = [one.a_second for one in rounds]
    return f"{min(each_us):.0f} to {max(each_us):.0f} µs, {min(rates):.0f} to {max(rates):.0f} a second"
