"""What an answer means for others than its message: registration, device, campaign, platform, lanes."""

from __future__ import annotations

from enum import StrEnum

from engine.channels.push import Verdict


class Beyond(StrEnum):
    """The texts stand in the README's table."""

    NOTHING = "nothing"
    QUARANTINE = "the registration is quarantined within 1 s, unless registered anew since the claim"
    REMOVE = "the registration is removed within 1 s, unless registered anew since the claim"
    REST_DEVICE = "the device is left alone for as long"
    STOP_CAMPAIGN = "the campaign is stopped; registrations stay"
    PAUSE_LANES = "every sender pauses for as long and gives its chunks back"
    STOP_LANES = "this sender stops and gives its chunks back, an error is logged; registrations and campaigns stay"
    CLOSE_PLATFORM = "the platform is left out for 10 minutes, an error is logged; people are reached by another device"


BEYOND = {verdict: Beyond.NOTHING for verdict in Verdict} | {
    Verdict.DEAD_REGISTRATION: Beyond.QUARANTINE,
    Verdict.REMOVED: Beyond.REMOVE,
    Verdict.DEVICE_BACKOFF: Beyond.REST_DEVICE,
    Verdict.PAYLOAD_FAULT: Beyond.STOP_CAMPAIGN,
    Verdict.LANE_PAUSE: Beyond.PAUSE_LANES,
    Verdict.LANE_STOP: Beyond.STOP_LANES,
    Verdict.SUBLANE_STOP: Beyond.CLOSE_PLATFORM,
}
DEVICE_STATES = {Beyond.QUARANTINE: "quarantined", Beyond.REMOVE: "removed"}
