"""The terminal: progress while the town opens, then the live numbers; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from engine.demo.city import ZONE
from engine.demo.gauges import Gauges
from engine.demo.guards import Tried
from engine.demo.phones import Push
from engine.demo.tills import Shown
from offers.reasons import Reason

PLAIN_EVERY_S = 5.0
LATEST = 40
TALL, NOTICE_MS = 46, 5_000
WIDE, HIGH = 110, 36
"""What three panels need; a smaller terminal shows the numbers and the reasons."""
BAR = 18
FLAME = "#ffb347"


class Opening:
    """Progress of the town's opening. A context manager; `tell` is what `setup` calls."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(style=FLAME),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30, complete_style=FLAME),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began_s = time.monotonic()

    def tell(self, step: str, done: int, of: int) -> None:
        """A step got further."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=of)
        self._progress.update(self._tasks[step], completed=done)
        if done == of and not self._console.is_terminal:
            self._console.print(f"{time.monotonic() - self._began_s:5.1f} s  {step}: {of}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class Screen:
    """Shows each reading of the gauges. `lines` are said above (page, track), `notices` below."""

    def __init__(
        self, console: Console, lines: Sequence[str], notices: Sequence[str], tried: Tried, shown: Shown
    ) -> None:
        self._console, self._lines, self._notices = console, lines, notices
        self._tried, self._shown = tried, shown
        self._latest: deque[str] = deque(maxlen=LATEST)
        self._plain_s = 0.0
        self._live = Live(console=console, screen=console.is_terminal, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            for line in (*self._lines, *self._notices):
                self._console.print(line, soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def hear(self, push: Push) -> None:
        """A push arrived: the latest are listed."""
        if push.arrival.accepted:
            self._latest.appendleft(
                f"{clock_text(push.arrival.at_ms)}  {push.arrival.title}  → phone {push.person.phone}"
            )

    def show(self, now: Gauges) -> None:
        """Draw a reading."""
        if self._console.is_terminal:
            self._live.update(self._drawn(now), refresh=True)
        elif time.monotonic() - self._plain_s >= PLAIN_EVERY_S:
            self._plain_s = time.monotonic()
            self._console.print(plain(now), soft_wrap=True)

    def _drawn(self, now: Gauges) -> RenderableType:
        layout = Layout()
        layout.split_column(Layout(self._head(now), size=2 + len(self._lines)), Layout(name="body"), self._foot(now))
        if self._console.width < WIDE or self._console.height < HIGH:
            numbers = _panel("Now", _traffic(now) | _offers(now))
            layout["body"].split_row(Layout(numbers), Layout(_reasons(now, bars=False)))
            return layout
        layout["body"].split_row(
            Layout(Group(_panel("Traffic", _traffic(now)), _panel("Offers", _offers(now))), ratio=4),
            Layout(Group(_reasons(now, bars=True), self._guards(now)), ratio=5),
            Layout(self._coupons(), ratio=5),
        )
        return layout

    def _head(self, now: Gauges) -> RenderableType:
        title = Text.assemble(("Candlemaker", f"bold {FLAME}"), f"   Helsinki, {weekday_text(now.at_ms)}   ")
        title.append("Ctrl-C ends it", style="dim")
        return Group(title, *(Text(line) for line in self._lines))

    def _guards(self, now: Gauges) -> RenderableType:
        held = {name: f"{now.reasons.get(name, 0):,}" for name in (Reason.BUDGET_EXHAUSTED, Reason.CAP_REACHED)}
        return _panel("Guards, tried on purpose", tried_rows(now, self._tried, self._shown) | _spelt(held))

    def _coupons(self) -> RenderableType:
        lines = Text("\n".join(self._latest) or "…", overflow="ellipsis", no_wrap=True)
        return Panel(lines, title="Latest coupons", title_align="left", box=box.ROUNDED)

    def _foot(self, now: Gauges) -> Layout:
        """All notices where there is room, else one after the other."""
        tall = self._console.height >= TALL
        turn = now.at_ms // NOTICE_MS % len(self._notices)
        notices = self._notices if tall else self._notices[turn : turn + 1]
        panel = Panel(Text("\n".join(notices), style="dim"), title="Where this comes from", title_align="left")
        return Layout(panel, size=10 if tall else 5)


def _traffic(now: Gauges) -> dict[str, str]:
    rows = {"pings/s": f"{now.pings_s:,.0f}", "pings": f"{now.pings:,}", "inside now": f"{now.inside:,}"}
    return rows | {f"trigger {name}": f"{n:,}" for name, n in now.triggers.items()}


def _offers(now: Gauges) -> dict[str, str]:
    wait = "…" if now.p50_ms is None else f"{now.p50_ms:,.0f} / {now.p99_ms:,.0f} ms"
    return {
        "coupons": f"{now.coupons:,}",
        "sent": f"{now.sent:,}",
        "shown": f"{now.shown:,}",
        "redemptions": f"{now.redemptions:,}",
        "push p50 / p99": wait,
    }


def _reasons(now: Gauges, bars: bool) -> RenderableType:
    made = {f"offer on {name}": n for name, n in now.decisions.items()}
    silent = {name.replace("_", " "): n for name, n in sorted(now.reasons.items(), key=lambda item: -item[1])}
    most = max([1, *made.values(), *silent.values()])
    table = Table(box=None, show_header=False, padding=(0, 1))
    for counts, style in ((made, FLAME), (silent, "cyan")):
        for name, n in counts.items():
            bar = Text("█" * max(1, round(BAR * n / most)), style=style)
            table.add_row(*(name, bar, f"{n:,}") if bars else (Text(name, style=style), f"{n:,}"))
    return Panel(table, title="Decisions by reason", title_align="left", box=box.ROUNDED)


def tried_rows(now: Gauges, tried: Tried, shown: Shown) -> dict[str, str]:
    """What was tried and what came of it, for screen and page."""
    matcher = "not yet" if not tried.killed else ("came back" if tried.restarted else "dead, others take over")
    return {
        "pings delivered twice": f"{now.twice:,}",
        "pings delivered late": f"{now.late:,}",
        "campaigns run out": f"{now.run_out:,}",
        "customers revoked": f"{len(tried.revoked):,}",
        "messages held back for it": f"{now.suppressed:,}",
        "coupons shown at two tills": f"{len(shown.twice):,}",
        "told: already redeemed": f"{shown.refused:,}",
        "killed matcher": matcher,
    }


def plain(now: Gauges) -> str:
    """A reading in one line, for a log."""
    waits = f"{now.p50_ms:.0f}/{now.p99_ms:.0f} ms" if now.p50_ms is not None and now.p99_ms is not None else "-"
    return (
        f"{clock_text(now.at_ms)}  {now.pings_s:,.0f} pings/s, {now.inside:,} inside, {now.coupons:,} coupons, "
        f"{now.sent:,} sent, {now.shown:,} shown, {now.redemptions:,} redeemed, ping to push p50/p99 {waits}"
    )


def clock_text(at_ms: int) -> str:
    """Time of day in the city."""
    return _local(at_ms).strftime("%H:%M:%S")


def weekday_text(at_ms: int) -> str:
    """Weekday and time of day in the city."""
    return _local(at_ms).strftime("%A %H:%M:%S")


def _local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(ZONE))


def _panel(title: str, rows: Mapping[str, str]) -> Panel:
    table = Table(box=None, show_header=False, padding=(0, 1), expand=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True, style="bold")
    for name, value in rows.items():
        table.add_row(name, value)
    return Panel(table, title=title, title_align="left", box=box.ROUNDED)


def _spelt(rows: Mapping[Reason, str]) -> dict[str, str]:
    return {f"held: {reason.value.replace('_', ' ')}": value for reason, value in rows.items()}
