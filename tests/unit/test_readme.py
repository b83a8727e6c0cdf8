"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import bars, readme, result
from engine.channels.fcm_answer import NO_ANSWER, TABLE, Row
from engine.channels.push import Outcome, Verdict
from engine.sender import breaker, retry
from engine.sender.beyond import BEYOND
from engine.sender.retry import Attempt, Settle, Status, next_step
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table that belongs between the README's settings markers."""
    defaults = Settings()
    environ = defaults.environ()
    lines = ["| variable | default | says |", "|---|---|---|"]
    for name, says in Settings.described().items():
        default = f"`{environ[name]}`" if environ[name] else "empty"
        lines.append(f"| `{name}` | {default} | {says} |")
    return "\n".join(lines)


def answers_table() -> str:
    """What FCM answers, and what is done: message and others, as the code decides."""
    lines = ["| FCM's answer | the message | and |", "|---|---|---|"]
    lines += [f"| {row.says} | {of_the_message(row)} | {BEYOND[row.verdict].value} |" for row in (*TABLE, *NO_ANSWER)]
    return "\n".join(lines)


def of_the_message(row: Row) -> str:
    """Its next step, asked of the very function: after a first attempt, with the least and the most jitter."""
    outcome = Outcome(row.verdict, retry_after_s=row.default_wait_s)
    least, most = (next_step(Attempt(1, 0), outcome, 0, 10**9, jitter) for jitter in (0.5, 1.5))
    if isinstance(least, Settle) or isinstance(most, Settle):
        assert isinstance(least, Settle)
        return f"ends as {least.status.value}"
    waits = (
        f"{least.at_ms / 1000:g} to {most.at_ms / 1000:g} s"
        if most.at_ms > least.at_ms
        else f"{least.at_ms / 1000:g} s"
    )
    when = f"again after {waits}" if most.at_ms else "again at once"
    doubt = ", perhaps shown: same tag" if least.ambiguous else ""
    return f"{when}, {'one attempt' if least.charged else 'no attempt'} charged{doubt}"


def rules_table() -> str:
    """The numbers of retries, breaker and dead letters."""
    ends = " or ".join(f"`{one.value}`" for one in (Status.FAILED, Status.UNKNOWN))
    waits = ", ".join(map(str, retry.WAITS_S))
    rows = {
        "waits": f"{waits} s, each × U(0.5, 1.5), never under {retry.FIRST_WAIT_S} s or what `Retry-After` asks for",
        "end": f"{retry.MOST_ATTEMPTS} attempts, the offer's end, or {retry.LONGEST_TRY_MS // 60_000} minutes after the"
        " first attempt; a night that bulk waits for does not count",
        "doubt": f"once an attempt may have been shown, only a clear 200 ends better than `{Status.UNKNOWN.value}`",
        "retry budget": f"{retry.RETRY_SHARE:.0%} of first attempts while {retry.HEALTHY:.0%} or more of answers fail,"
        f" {retry.SAVED:.0f} saved at most; one held back looks again after {retry.NO_BUDGET_S:g} s × U(0.5, 1.5)",
        "breaker": f"a lane opens at {breaker.SHARE:.0%} of 5xx and lost answers among {breaker.LEAST_SAMPLES} or more"
        f" in {breaker.WINDOW_S} s; after {breaker.OPEN_S:g} s {breaker.PROBE:.0%} of its slots probe, and"
        f" {breaker.PROBES} answers decide",
        "dead letters": f"what ended as {ends}; `candlemaker dead-letters list` shows them, `replay` sends again under"
        " the same tag what still has an offer and a coupon",
    }
    return "\n".join(["| rule | is |", "|---|---|", *(f"| {name} | {says} |" for name, says in rows.items())])


def test_the_tables_of_answers_and_retries_are_those_of_the_code() -> None:
    assert f"<!-- answers -->\n{answers_table()}\n<!-- /answers -->" in README
    assert f"<!-- retries -->\n{rules_table()}\n<!-- /retries -->" in README


def test_the_table_of_answers_speaks_of_every_verdict() -> None:
    told = {row.verdict for row in (*TABLE, *NO_ANSWER)}
    assert told == set(Verdict) - {Verdict.EXPIRED}, "an offer that ends before it is written gets no answer"


def test_the_settings_table_is_that_of_the_code() -> None:
    assert f"<!-- settings -->\n{settings_table()}\n<!-- /settings -->" in README


def test_the_figures_are_those_of_the_results() -> None:
    assert readme.block(bars.load(), result.read(result.FOLDER)) in README


def test_every_file_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:engine|geo|offers|sql|benchmarks|tests)/[\w./-]+\.\w+)`", README)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_table_has_its_retention_in_the_readme() -> None:
    migrations = "".join(path.read_text() for path in sorted((ROOT / "sql/migrations").glob("*.sql")))
    tables = set(re.findall(r"CREATE TABLE (\w+) (?!PARTITION)", migrations)) | {"schema_migration"}
    section = README.split("## How long things are kept")[1].split("\n## ")[0]
    assert {table for table in tables if f"`{table}`" not in section} == set()
