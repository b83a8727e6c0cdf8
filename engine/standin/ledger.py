"""The ledger: one line for every arrival, appended before it is answered.

The file (NDJSON, 0600) is the evidence and holds registrations: they are as fake as this FCM. The newest
`KEPT` arrivals are also in memory for the pages; a restart reads the file back, a torn last line is dropped.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from pathlib import Path
from typing import Any

import msgspec

KEPT = 200_000
FILE = "ledger.ndjson"


class Arrival(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request at `messages:send`.

    `status` is the HTTP status answered, 0 for none (stall, reset); `accepted` says whether the message
    was taken, whatever was answered. `at_ms` is engine time, `ttl_s` Android's time to live (-1: none or
    malformed), `stream` HTTP/2's (0: HTTP/1.1). Of a stream above the limit or above GOAWAY nothing else is known.
    """

    seq: int
    at_ms: int
    registration: str
    status: int
    answer: str
    accepted: bool = False
    kind: str = ""
    tag: str = ""
    ttl_s: float = -1.0
    title: str = ""
    data: dict[str, str] = {}
    name: str = ""
    stream: int = 0


class Ledger:
    """Append-only. One process owns the file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._newest: deque[Arrival] = deque(maxlen=KEPT)
        self._answers: Counter[str] = Counter()
        self._shown: Counter[tuple[str, str]] = Counter()
        self._count = 0
        self._encode = msgspec.json.Encoder().encode
        self._read_back()
        self._file = self.path.open("ab", buffering=0)

    @property
    def next_seq(self) -> int:
        """Number of the next arrival, from 1."""
        return self._count + 1

    def append(self, arrival: Arrival) -> None:
        """Write, then count; raises OSError when the disk is full."""
        self._file.write(self._encode(arrival) + b"\n")
        self._keep(arrival)

    def since(self, seq: int, wanted: dict[str, str], limit: int) -> list[Arrival]:
        """Arrivals numbered above *seq* whose fields equal *wanted* as text, oldest first, at most
        *limit*.
        """
        found: list[Arrival] = []
        for arrival in self._newest:
            if len(found) == limit:
                break
            if arrival.seq > seq and all(str(getattr(arrival, k)) == v for k, v in wanted.items()):
                found.append(arrival)
        return found

    def summary(self) -> dict[str, Any]:
        """Totals since the file began. `shown` counts what phones display: equal tags on one phone count
        once.
        """
        accepted = self._shown.total()
        return {
            "arrivals": self._count,
            "accepted": accepted,
            "shown": len(self._shown),
            "repeated": accepted - len(self._shown),
            "answers": dict(sorted(self._answers.items())),
        }

    def close(self) -> None:
        """Close the file; everything is already in it."""
        self._file.close()

    def _keep(self, arrival: Arrival) -> None:
        self._newest.append(arrival)
        self._count = arrival.seq
        self._answers[arrival.answer] += 1
        if arrival.accepted:
            self._shown[arrival.registration, arrival.tag or arrival.name] += 1

    def _read_back(self) -> None:
        self.path.touch(mode=0o600)
        decode = msgspec.json.Decoder(Arrival).decode
        good = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._keep(decode(line))
                good += len(line)
        os.truncate(self.path, good)
