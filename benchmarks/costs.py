"""What a ping costs where: processor time of each part of the stack, whoever else uses the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from benchmarks.stage import Stage

PARTS: Final = ("api", "matcher", "sender", "valkey", "postgres")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def spent_s(stage: Stage) -> dict[str, float]:
    """Seconds of processor time of each part so far, with the processes it made that are there."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # gone meanwhile
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            used[int(entry.name)] = (int(fields[11]) + int(fields[12])) * _TICK_S

    def of(pid: int) -> float:
        return used.get(pid, 0.0) + sum(map(of, children.get(pid, [])))

    return {part: of(pid) for part in PARTS if (pid := stage.stack.pid(part)) is not None}


def told_us(before: dict[str, float], after: dict[str, float], pings: int) -> str:
    """Microseconds a ping, by part."""
    each = {part: 1e6 * (after[part] - before.get(part, 0.0)) / pings for part in after}
    return ", ".join(f"{part} {cost:.2f}" for part, cost in each.items()) + f", all {sum(each.values()):.2f} µs a ping"
