"""`candlemaker doctor`: what is wrong here, in sentences, and what to do about it."""

from __future__ import annotations

import sys

from engine.doctor import machine, servers
from engine.doctor.finding import Finding, Findings
from engine.embedded.lock import holder
from engine.embedded.servers import borrowed
from engine.errors import CandlemakerError
from engine.settings import Settings


async def doctor(settings: Settings) -> int:
    """Write every finding; 1 when there is a problem."""
    worst = 0
    async for finding in examine(settings):
        sys.stdout.write(f"{finding.verdict:8} {finding.says}\n")
        sys.stdout.flush()
        worst |= finding.verdict == "problem"
    return int(worst)


async def examine(settings: Settings) -> Findings:
    """All findings: this machine first, then the servers."""
    for check in machine.CHECKS:
        for finding in check(settings):
            yield finding
    yours = bool(settings.database_url and settings.redis_url)
    runs = yours or holder(settings.data) is not None
    if not runs:
        yield Finding("ok", "nothing runs here now: the servers are started for this check only")
    try:
        async with borrowed(settings) as found:
            async for finding in servers.examine(found, runs=runs):
                yield finding
    except CandlemakerError as error:
        yield Finding("problem", str(error))
