"""The run as one JSON object: numbers from the evidence, what each guard held back, what must not have happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.demo.evidence import Evidence
from engine.demo.judge import violations

LEAST_TWICE_SHOWN = 20
LEAST_SHARE = 0.01


def report(found: Evidence) -> dict[str, Any]:
    """Numbers, `held` and `violations`; the same evidence gives the same report."""
    fates = _named(found.tally, "ping.")
    return {
        "pings": sum(fates.get(name, 0) for name in ("accepted", "duplicate", "late", "no_consent", "invalid")),
        "pings_by_fate": fates,
        "triggers": _named(found.tally, "trigger."),
        "decisions": found.totals["decisions"],
        "reasons": _named(found.tally, "reason."),
        "coupons": found.totals["coupons"],
        "sent": found.totals["sent"],
        "messages": _messages(found),
        "shown": found.totals["shown"],
        "redemptions": found.totals["redemptions"],
        "latency_ms": latency_ms(found),
        "held": held(found),
        "violations": violations(found),
    }


def held(found: Evidence) -> dict[str, int]:
    """What each guard stopped, each from the store: `consent` counts messages suppressed and offers not made."""
    tally = found.tally
    without = sum(
        n for name, n in tally.items() if name in ("reason.no_marketing_consent", "reason.no_location_consent")
    )
    return {
        "budget": tally.get("reason.budget_exhausted", 0),
        "consent": without + tally.get("ping.no_consent", 0) + found.message_count("suppressed", "no_consent"),
        "consent_queued": found.message_count("suppressed", "no_consent"),
        "cap": tally.get("reason.cap_reached", 0),
        "duplicate": tally.get("ping.duplicate", 0),
        "late": tally.get("ping.late", 0),
        "second_redemption": found.twice_shown_redeemed,
    }


def latency_ms(found: Evidence) -> dict[str, Any]:
    """From a phone's report to the push at the stand-in, for offers made on entering a fence; all in engine time.

    `stages` are the medians of its parts: report to log, log to decision, decision to push. None without a push.
    """
    first: dict[str, int] = {}
    for arrival in found.accepted:
        first.setdefault(arrival.tag, arrival.at_ms)
    times = [
        (row["event_ms"], row["logged_ms"], row["decided_ms"], first[tag])
        for tag, row in found.decisions.items()
        if row["trigger"] == "enter" and tag in first
    ]
    if not times:
        return {"p50": None, "p99": None, "pushes": 0, "stages": None}
    moments = np.array(times)
    waits, steps = moments[:, 3] - moments[:, 0], np.median(np.diff(moments, axis=1), axis=0)
    p50, p99 = np.quantile(waits, (0.5, 0.99))
    stages = {name: round(float(ms), 1) for name, ms in zip(("logged", "decided", "pushed"), steps, strict=True)}
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "pushes": len(times), "stages": stages}


def shortfalls(result: Mapping[str, Any]) -> list[str]:
    """Sentences on guards that were not tried hard enough to say anything."""
    tried, shares = result["tried"], result["held"]
    found = [f"nothing was held back by the guard '{name}'" for name, n in shares.items() if n == 0]
    doubtful = shares["duplicate"] + shares["late"]
    if doubtful < LEAST_SHARE * result["pings"]:
        found.append(f"only {doubtful} of {result['pings']} pings came twice or late")
    if tried["revoked"] < LEAST_SHARE * tried["customers"]:
        found.append(f"only {tried['revoked']} of {tried['customers']} customers revoked")
    if tried["shown_at_two_tills"] < LEAST_TWICE_SHOWN:
        found.append(f"only {tried['shown_at_two_tills']} coupons were shown at two tills")
    if tried["answered_already_redeemed"] < tried["shown_at_two_tills"]:
        found.append("a second till was not told that the coupon was redeemed before")
    if not tried["matcher_restarted"]:
        found.append("no matcher was killed and started again")
    return found


def _named(tally: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in tally.items() if name.startswith(prefix)}


def _messages(found: Evidence) -> dict[str, dict[str, int]]:
    """Channel → state → messages."""
    counts: dict[str, dict[str, int]] = {}
    for row in found.messages:
        states = counts.setdefault(row["channel"], {})
        states[row["state"]] = states.get(row["state"], 0) + row["n"]
    return counts
