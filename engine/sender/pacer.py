"""The pacer: asks the shared pace in Valkey, and keeps a careful one of its own while Valkey is away."""

from __future__ import annotations

import time
from importlib.resources import files

import structlog
from redis.asyncio import Redis

from engine.log.keys import pace_key
from engine.log.valkey import RedisError, ResponseError
from engine.sender.lanes import LEFT, Lane
from engine.sender.pace import Ask, Grant, Pace, quarter_wait_ms
from engine.settings import Settings

ALONE = 0.25
"""Share of the pace that a sender takes when it cannot ask: four of them keep it together."""

log = structlog.get_logger()


class Pacer:
    """One Firebase project's pace, as one sender asks for it."""

    def __init__(self, client: Redis, settings: Settings, project: str = "fcm") -> None:
        self._client = client
        self._rate = settings.fcm_quota_per_s * settings.fcm_quota_share / 100
        self._ramp_ms = settings.fcm_ramp_s * 1000
        self._guard_ms = settings.fcm_quarter_guard_s * 1000
        self._project = project
        self._own = Pace(self._rate * ALONE, self._ramp_ms)
        self._away = False

    async def take(self, ask: Ask, now_ms: int) -> Grant:
        """What may go of *ask*. *now_ms* is engine time, by which quarters of an hour are told."""
        if ask.lane is Lane.BULK and (wait_ms := quarter_wait_ms(now_ms, self._guard_ms)):
            return Grant(0, min(1000, wait_ms))
        try:
            count, wait_ms, paused = await self._call(
                "candlemaker_pace_take", 2, pace_key(self._project), pace_key(self._project, ask.campaign),
                0, self._rate, self._ramp_ms, ask.want, LEFT[ask.lane], int(ask.lane is Lane.BULK), ask.campaign_rate,
            )  # fmt: skip
        except (RedisError, OSError, TimeoutError):
            return self._alone(ask)
        self._away = False
        return Grant(count, wait_ms, bool(paused))

    async def pause(self, for_s: float) -> None:
        """The project was told to wait: no sender writes anything for so long."""
        self._own.pause(_now_ms() + round(for_s * 1000))
        try:
            await self._call("candlemaker_pace_pause", 1, pace_key(self._project), 0, round(for_s * 1000))
        except (RedisError, OSError, TimeoutError):
            log.warning("pace.pause_not_shared", for_s=for_s)

    async def _call(self, name: str, *arguments: object) -> list[int]:
        try:
            return await self._client.fcall(name, *arguments)  # type: ignore[arg-type,no-any-return]  # redis-py: str
        except ResponseError as error:
            if "unction not found" not in str(error):
                raise
        await self._client.function_load(files("engine.sender").joinpath("pace.lua").read_text(), replace=True)
        return await self._client.fcall(name, *arguments)  # type: ignore[arg-type,no-any-return]  # as above

    def _alone(self, ask: Ask) -> Grant:
        if not self._away:
            self._away = True
            log.warning("pace.alone", share=ALONE)
        return self._own.take(ask, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
