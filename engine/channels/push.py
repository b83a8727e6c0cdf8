"""What the sender hands to a channel, and what it gets back: the same words for every vendor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID


class Verdict(StrEnum):
    """What one send came to, named by what has to be done about it."""

    SENT = "sent"
    """Accepted by the provider (not yet shown); `Outcome.provider_id` is its name for the message."""
    DEAD_REGISTRATION = "dead_registration"
    """The registration is malformed: quarantine it, remove it later."""
    REMOVED = "removed"
    """The registration is gone or was never ours: remove it, unless it is newer than this send."""
    PAYLOAD_FAULT = "payload_fault"
    """The message itself is wrong, so all of its campaign's are: stop the campaign, keep registrations."""
    LANE_PAUSE = "lane_pause"
    """The whole channel must wait `retry_after_s`."""
    LANE_STOP = "lane_stop"
    """The channel is misconfigured: stop it, alert, keep registrations."""
    SUBLANE_STOP = "sublane_stop"
    """The provider's own door to this platform (APNs, web push) is misconfigured: stop that platform, fall
    back.
    """
    DEVICE_BACKOFF = "device_backoff"
    """This device gets too much: leave it alone for `retry_after_s`."""
    RETRY = "retry"
    """The provider failed and said so; try again later."""
    UNKNOWN = "unknown"
    """It may or may not have been accepted: repeat with the same display tag only."""
    UNPROCESSED = "unprocessed"
    """Provably never processed: requeue (after `retry_after_s`, if given), charge no attempt."""
    EXPIRED = "expired"
    """The offer ended before anything was written to the wire."""


# Neither record is frozen, though nobody changes one: making a frozen one takes four times as long, and a sender makes
# ten thousand of each a second.


@dataclass(slots=True)
class Push:
    """One message for one registration. `repr` shows ids and times only: texts and data may carry a
    coupon's code.

    The display tag is `decision_id`: a phone that gets the same decision twice shows it once.
    `data` is handed to the app; keys and values are strings. `expires_ms` is engine time, epoch ms. What was asked
    about the person is old after `fresh_until_s` (monotonic seconds): nothing is written then.
    """

    message_id: UUID
    decision_id: UUID
    registration: str = field(repr=False)
    kind: Literal["token", "fid"]
    title: str = field(repr=False)
    body: str = field(repr=False)
    data: Mapping[str, str] = field(repr=False)
    expires_ms: int
    fresh_until_s: float = math.inf


@dataclass(slots=True)
class Outcome:
    """`detail` is made of status codes and field names only, never of the provider's prose: it may be
    logged.
    """

    verdict: Verdict
    provider_id: str = ""
    retry_after_s: float | None = None
    detail: str = ""


class Channel(Protocol):
    """One way to a phone. `send` never raises for what the provider or the network does; it returns it."""

    async def send(self, push: Push, now_ms: int) -> Outcome:
        """Try once (a refreshed credential may be tried once more) and say what came of it."""
        ...
