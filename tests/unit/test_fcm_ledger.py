"""What the stand-in keeps between requests: the ledger, the scripts' form, the rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.standin.ledger import Arrival, Ledger
from engine.standin.limits import HOUR_MS, MINUTE_MS, Limits
from engine.standin.script import Script

NOW_MS = 1_764_000_000_000


@pytest.mark.parametrize(
    "step",
    [
        {"answer": "nonsense"},
        {"answer": "ok", "retry_after": "soon"},
        {"answer": "ok", "retry_after": "date+"},
        {"answer": "ok", "times": 0},
        {"answer": "ok", "delay": 1},
        {},
    ],
)
def test_a_script_is_checked(step: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"registration": "r", "answers": [step]}, Script)


def test_the_ledger_counts_what_phones_show(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for n, (who, tag, accepted) in enumerate([("a", "t", True), ("a", "t", True), ("b", "t", True), ("a", "u", False)]):
        ledger.append(Arrival(n + 1, NOW_MS, who, 200, "ok", accepted, tag=tag))
    ledger.close()
    again = Ledger(tmp_path)
    assert again.summary() == {"arrivals": 4, "accepted": 3, "shown": 2, "repeated": 1, "answers": {"ok": 4}}
    assert [a.seq for a in again.since(1, {"registration": "a"}, 9)] == [2, 4]
    assert [a.seq for a in again.since(0, {"tag": "t"}, 2)] == [1, 2]
    assert again.next_seq == 5
    again.close()


def test_a_torn_line_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(Arrival(1, NOW_MS, "a", 200, "ok"))
    ledger.close()
    with ledger.path.open("ab") as file:
        file.write(b'{"seq":2,"at')
    again = Ledger(tmp_path)
    again.append(Arrival(again.next_seq, NOW_MS, "b", 200, "ok"))
    again.close()
    assert [json.loads(line)["seq"] for line in ledger.path.read_text().splitlines()] == [1, 2]


def test_windows_open_with_the_first_message_and_429_does_not_count() -> None:
    limits = Limits(device_a_minute=2)
    at_ms = NOW_MS + 59_000
    assert [limits.device_full_for_ms("r", at_ms + ms) for ms in (0, 1000, 2000, 59_999)] == [0, 0, 58_000, 1]
    assert limits.device_full_for_ms("r", at_ms + MINUTE_MS) == 0
    assert limits.device_full_for_ms("other", at_ms) == 0
    assert {limits.device_full_for_ms("r", at_ms + MINUTE_MS + ms) > 0 for ms in range(1, 6000)} == {False, True}
    assert limits.device_full_for_ms("r", at_ms + 2 * MINUTE_MS) == 0, "thousands of refusals, and the hour has room"


def test_a_device_takes_5000_an_hour() -> None:
    limits = Limits()
    times_ms = [NOW_MS + n * 300 for n in range(5001)]
    waits = [limits.device_full_for_ms("r", at_ms) for at_ms in times_ms]
    assert waits[:5000] == [0] * 5000
    assert waits[5000] == HOUR_MS - (times_ms[5000] - NOW_MS)
