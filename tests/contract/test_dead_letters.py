"""Dead letters: seen and sent again from the command line, when that still makes sense."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run
from engine.cli.parser import build
from engine.postgres.pool import connect
from engine.settings import Settings
from engine.standin.script import Answer
from tests.contract.sender_rig import Rig, rig

FAILED = ["alive", "over", "void", "sent", "doubtful", "plain"]


async def furnish(settings: Settings) -> None:
    """Six pushes that ended: what `FAILED` says of each."""
    database = await connect(settings)
    await database.execute(
        """INSERT INTO retailer (name, currency) VALUES ('One', 'EUR');
           INSERT INTO store (retailer, code, name, lat, lng, cell, zone) VALUES (1, 's', 'S', 60, 24, 0, 'UTC');
           INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)
           VALUES (1, 'c', 'live', '{}', now(), now() + interval '1 day');
           INSERT INTO customer (number, p, id) SELECT n, n % 16, 'c' || n FROM generate_series(0, 5) n;
           INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
               event_at, logged_at, decided_at, terms, held)
           SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, n, 1, n, 'enter', gen_random_uuid(), 1, 1, 1, 0,
               now(), now(), now(), '{}', '[]' FROM generate_series(0, 4) n;
           INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at,
               valid_until, state)
           SELECT gen_random_uuid(), id, 1, 1, 1, customer, id::text::bytea, '{}', now(), now() + interval '1 hour',
               CASE customer WHEN 2 THEN 'void' ELSE 'issued' END FROM decision;
           INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, channel, expires_at)
           SELECT current_date, -1, n + 1, ('10000000-0000-0000-0000-00000000000' || n)::uuid,
               CASE WHEN n < 5 THEN ('00000000-0000-0000-0000-00000000000' || n)::uuid END, n, 1, 'fcm',
               now() + CASE n WHEN 1 THEN interval '-1 s' ELSE interval '1 hour' END FROM generate_series(0, 5) n;
           INSERT INTO outcome SELECT day, chunk, seq,
               CASE seq WHEN 4 THEN 'sent' WHEN 5 THEN 'unknown' ELSE 'failed' END,
               CASE seq WHEN 5 THEN '503' ELSE '403' END, '', 7, now() FROM message"""
    )
    await database.close()


async def waiting(settings: Settings) -> list[tuple[Any, ...]]:
    database = await connect(settings)
    rows = await database.fetch(
        "SELECT c.lane, m.customer, m.attempts, m.ambiguous, s.state FROM message m JOIN chunk c ON c.id = m.chunk"
        " JOIN message_state s ON (s.day, s.chunk, s.seq) = (m.day, m.chunk, m.seq) ORDER BY m.customer"
    )
    await database.close()
    return [tuple(row) for row in rows]


def command(settings: Settings, *words: str) -> int:
    argv = ["dead-letters", *words]
    return run(settings, build(argv).parse_args(argv))


def test_they_are_listed_and_replayed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(furnish(settings))
    assert command(settings, "list") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:4] == ["time", "id", "state", "reason"]
    told = {FAILED[int(line[5])]: line[-1] for line in lines[1:]}
    assert told == {"alive": "yes", "over": "no", "void": "no", "doubtful": "yes", "plain": "yes"}

    assert command(settings, "replay", "--reason", "503") == 0
    assert "1 of 1" in capsys.readouterr().out
    assert asyncio.run(waiting(settings)) == [("triggered", 4, 0, True, "queued")], "what may have been shown stays so"

    assert command(settings, "replay") == 0
    assert "2 of 4" in capsys.readouterr().out
    assert [row[:2] for row in asyncio.run(waiting(settings))] == [
        ("triggered", 0),
        ("triggered", 4),
        ("transactional", 5),
    ]
    assert command(settings, "replay") == 0
    assert "0 of 2" in capsys.readouterr().out, "nothing is replayed twice"


def test_one_may_be_named(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(furnish(replace(settings)))
    assert command(settings, "replay", "--id", "10000000-0000-0000-0000-000000000000") == 0
    assert "1 of 1" in capsys.readouterr().out
    assert [row[1] for row in asyncio.run(waiting(settings))] == [0]


def test_they_are_filtered(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(furnish(settings))

    def told(*words: str) -> list[str]:
        assert command(settings, "list", *words) == 0
        return [line.split("\t")[5] for line in capsys.readouterr().out.splitlines()[1:]]

    assert sorted(told()) == ["0", "1", "2", "4", "5"]
    assert sorted(told("--campaign", "1")) == ["0", "1", "2", "4", "5"]
    assert told("--campaign", "2") == []
    assert told("--reason", "503") == ["4"]
    assert len(told("--most", "2")) == 2
    asyncio.run(aged(settings))
    assert told() == [] and len(told("--hours", "100")) == 5


async def aged(settings: Settings) -> None:
    database = await connect(settings)
    await database.execute("UPDATE outcome SET at = now() - interval '30 hours'")
    await database.execute("UPDATE message SET day = day - 1")
    await database.execute("UPDATE outcome SET day = day - 1")
    await database.close()


@pytest.mark.parametrize(
    "words",
    [
        ("replay", "--id", "nonsense"),
        ("list", "--hours", "nan"),
        ("list", "--hours", "-1"),
        ("replay", "--hours", "1e30"),
        ("list", "--most", "-1"),
        ("list", "--most", "99999999999999999999"),
        ("list", "--campaign", "99999999999999999999"),
        ("list", "--reason", "\x00"),
    ],
)
def test_bad_words_are_refused_in_a_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(settings, *words)
    assert left.value.code == 2
    assert "argument --" in capsys.readouterr().err


async def test_a_replayed_one_is_sent_by_the_sender_that_runs(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen, replayed and shown once: the same message under the same tag."""
    async with rig(settings, tmp_path, 2) as world:
        await world.database.execute(
            """WITH made AS (INSERT INTO chunk (day, channel, lane, size, due_at)
                   VALUES (current_date, 'fcm', 'transactional', 1, now()) RETURNING id)
               INSERT INTO message (day, chunk, seq, id, customer, channel, title, body, data, expires_at)
               SELECT current_date, id, 1, gen_random_uuid(), 1, 'fcm', 'Now', '', '{}', now() + interval '1 hour'
               FROM made"""
        )
        world.script("r1", Answer("bad_request_bare"))
        async with world.sender():
            assert await world.ended() == {("failed", "400 INVALID_ARGUMENT"): 1}
            assert await asyncio.to_thread(command, world.settings, "list") == 0
            [line] = letters(capsys)
            assert await asyncio.to_thread(command, world.settings, "replay", "--id", line.split("\t")[1]) == 0
            await world.until(lambda: replayed(world))
        first, second = world.arrivals
        assert (first.accepted, second.accepted, first.tag) == (False, True, second.tag)
        assert first.data == second.data
        assert await asyncio.to_thread(command, world.settings, "list") == 0
        assert letters(capsys) == [], "it is none any more"


async def replayed(world: Rig) -> bool:
    return ("sent", "200") in await world.states()


def letters(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Rows of the list; the sender in this process logs to the same place."""
    return [line for line in capsys.readouterr().out.splitlines() if line.count("\t") == 7][1:]
