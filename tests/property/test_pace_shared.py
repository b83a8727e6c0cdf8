"""The pace in Valkey and its twin here: the same asks get the same grants."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.sender.lanes import LANES, LEFT, Lane
from engine.sender.pace import Ask, Pace

T0 = 1_764_000_000_000
STEPS = st.lists(
    st.tuples(
        st.sampled_from(LANES),
        st.integers(1, 2000),
        st.sampled_from([(0, 0.0), (0, 0.0), (7, 3.5), (8, 400.0)]),
        st.sampled_from([0, 1, 5, 20, 100, 1000, 40_000]),
        st.sampled_from([0] * 12 + [3000]),
    ),
    max_size=40,
)


@pytest.fixture
def valkey(redis_url: str) -> Any:
    client = redis.Redis.from_url(redis_url)
    client.function_load(files("engine.sender").joinpath("pace.lua").read_text(), replace=True)
    yield client
    client.close()


RESTED = [(Lane.BULK, 1, (0, 0.0), 0, 0), (Lane.BULK, 1, (0, 0.0), 5, 0), (Lane.BULK, 1, (0, 0.0), 40_000, 0)]


@example(RESTED, 100.0, 0)  # a rest begins another bucket, and what goes is taken from that one
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([0.5, 3.0, 100.0, 8000.0]), st.sampled_from([0, 60_000]))
def test_both_say_the_same(valkey: Any, steps: Any, rate: float, ramp_ms: int) -> None:
    valkey.flushdb()
    pace, now_ms = Pace(rate, ramp_ms), T0
    for lane, want, (campaign, own), passed_ms, pause_ms in steps:
        now_ms += passed_ms
        if pause_ms:
            pace.pause(now_ms + pause_ms)
            valkey.fcall("candlemaker_pace_pause", 1, "pace:{t}", now_ms, pause_ms)
        ours = pace.take(Ask(lane, want, campaign, own), now_ms)
        theirs = valkey.fcall(
            "candlemaker_pace_take", 2, "pace:{t}", f"pace:{{t}}:{campaign}", now_ms, rate, ramp_ms, want, LEFT[lane],
            int(lane is Lane.BULK), own,
        )  # fmt: skip
        assert [ours.count, int(ours.paused)] == [theirs[0], theirs[2]]
        assert abs(ours.wait_ms - theirs[1]) <= 1  # where the last bit decides which millisecond it is
