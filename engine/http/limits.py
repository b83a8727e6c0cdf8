"""Bounds that hold under overload: a rate a caller, and how many requests are worked on at once."""

from __future__ import annotations

from dataclasses import dataclass

from engine.http.problems import Problem

WINDOW_S = 60
MOST_BUCKETS = 100_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class RateLimit:
    """Token buckets, one a caller: *per_minute* requests a minute, and as many at once.

    `now_s` is any monotonic clock's reading. A process counts for itself: behind N API processes a caller has
    N times the rate.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._rate = per_minute / WINDOW_S
        self._buckets: dict[str, _Bucket] = {}
        self.policy = f'"default";q={per_minute};w={WINDOW_S}'.encode()

    def take(self, caller: str, now_s: float) -> int:
        """Spend one; answers how many are left, -1 when there was none."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._open(caller, now_s)
        bucket.tokens = min(self.per_minute, bucket.tokens + (now_s - bucket.filled_at_s) * self._rate)
        bucket.filled_at_s = now_s
        if bucket.tokens < 1:
            return -1
        bucket.tokens -= 1
        return int(bucket.tokens)

    def refusal(self, left: int) -> Problem:
        """The 429 of a caller that has none left; one request's worth of waiting."""
        wait_s = max(1, round(1 / self._rate))
        headers = [(b"retry-after", str(wait_s).encode()), *self.headers(max(left, 0))]
        return Problem("too_many_requests", f"at most {self.per_minute} requests a minute", headers=headers)

    def headers(self, left: int) -> list[tuple[bytes, bytes]]:
        """RateLimit-Policy and RateLimit; `t` is when the bucket is full again."""
        full_s = round((self.per_minute - left) / self._rate)
        return [(b"ratelimit-policy", self.policy), (b"ratelimit", b'"default";r=%d;t=%d' % (left, full_s))]

    def _open(self, caller: str, now_s: float) -> _Bucket:
        if len(self._buckets) >= MOST_BUCKETS:  # a bucket idle for a window is full: forgetting it changes nothing
            self._buckets = {n: b for n, b in self._buckets.items() if now_s - b.filled_at_s < WINDOW_S}
        if len(self._buckets) >= MOST_BUCKETS:
            raise Problem.busy(WINDOW_S, "too many callers at once")
        bucket = self._buckets[caller] = _Bucket(self.per_minute, now_s)
        return bucket


class Gate:
    """At most *most* requests at once; more are answered 503 at once instead of waiting."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.inside = 0

    def __enter__(self) -> None:
        """Raise the 503 `Problem` when full."""
        if self.inside >= self.most:
            raise Problem.busy(1)
        self.inside += 1

    def __exit__(self, *_: object) -> None:
        self.inside -= 1
