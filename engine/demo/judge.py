"""What must never have happened, looked for in the evidence. Each finding is a sentence; a sound run has none.

The guarantees are those of the README; a rule here judges rows, never the counters of whoever made them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from engine.demo.evidence import Evidence

REVOKED_MS = 500
"""A revocation is obeyed this long after it was written."""
EVENT_AGE_MS = 120_000
FINAL = frozenset({"sent", "failed", "expired", "unknown", "suppressed"})
MOST_NAMED = 5


def violations(found: Evidence) -> list[str]:
    """All findings, in the order of the rules."""
    return [sentence for rule in RULES for sentence in rule(found)]


def money(found: Evidence) -> Iterator[str]:
    """spent ≤ granted ≤ leased ≤ total, and the ledger adds up to the counters."""
    for row in found.budgets:
        name = f"campaign {row['campaign']} ({row['code']})"
        if not 0 <= row["spent"] <= row["granted"] <= row["leased"] <= row["total"]:
            steps = ", ".join(f"{step} {row[step]}" for step in ("spent", "granted", "leased", "total"))
            yield f"{name}: the steps of its budget are out of order: {steps}"
        if row["debits"] - row["refunds"] != row["spent"]:
            yield f"{name}: {row['debits'] - row['refunds']} coupons spent by the ledger, {row['spent']} by the blocks"
        if row["crooked"]:
            yield f"{name}: {row['crooked']} partitions' blocks disagree with the ledger"
        if row["debits"] != row["decisions"]:
            yield f"{name}: {row['decisions']} decisions and {row['debits']} debits"


def redeemed_once(found: Evidence) -> Iterator[str]:
    """A coupon is redeemed never or once, and its state says the same."""
    for row in found.twice_redeemed[:MOST_NAMED]:
        yield f"coupon {row['id']} is {row['state']} and has {row['n']} redemptions"
    if found.twice_shown_redeemed != found.twice_shown:
        yield f"{found.twice_shown} coupons were shown at two tills, {found.twice_shown_redeemed} of them were redeemed"


def one_push_an_occasion(found: Evidence) -> Iterator[str]:
    """The stand-in never took two different tags for one occasion, nor a tag nobody decided on."""
    tags: dict[tuple[int, int, str], set[str]] = defaultdict(set)
    for arrival in found.accepted:
        decision = found.decisions.get(arrival.tag)
        if decision is None:
            yield f"the stand-in took a message of decision {arrival.tag or '(none)'}, which is not stored"
        else:
            tags[decision["customer"], decision["campaign"], decision["occasion"]].add(arrival.tag)
    for (customer, campaign, _), several in tags.items():
        if len(several) > 1:
            yield f"customer {customer} got {len(several)} pushes of campaign {campaign} for one occasion"


def settled(found: Evidence) -> Iterator[str]:
    """Every message ended, and what the stand-in took is recorded as sent or unknown."""
    left = sum(row["n"] for row in found.messages if row["state"] not in FINAL)
    if left:
        yield f"{left} messages have not ended"
    for tag in sorted({arrival.tag for arrival in found.accepted} & found.decisions.keys()):
        push = found.decisions[tag]["push"]
        if push not in {"sent", "unknown"}:
            yield f"the stand-in took the push of decision {tag}, which is recorded as {push}"


def consent(found: Evidence) -> Iterator[str]:
    """Nothing reaches a customer later than half a second after marketing was withdrawn (or was never allowed)."""
    pushes = [(found.customers.get(arrival.registration, -1), arrival.at_ms) for arrival in found.accepted]
    notes = [(row["customer"], row["at_ms"]) for row in found.inbox]
    for channel, arrived in (("push", pushes), ("inapp", notes)):
        since = {row["customer"]: row["at_ms"] for row in found.silenced if row[channel]}
        for customer, at_ms in arrived:
            if customer in since and at_ms > since[customer] + REVOKED_MS:
                yield f"customer {customer} got a message ({channel}) {at_ms - since[customer]} ms after revoking"


def caps(found: Evidence) -> Iterator[str]:
    """No customer has more of a campaign within its window than its cap allows."""
    for row in found.over_cap[:MOST_NAMED]:
        yield f"customer {row['customer']} has {row['n']} coupons of campaign {row['campaign']}, above its cap"


def events(found: Evidence) -> Iterator[str]:
    """One decision an event at most, none on an old one, each with its coupon and debit."""
    for row in found.doubled_events[:MOST_NAMED]:
        yield f"customer {row['customer']} got {row['n']} decisions for one report"
    old = sum(
        row["logged_ms"] - row["event_ms"] > EVENT_AGE_MS
        for row in found.decisions.values()
        if row["trigger"] == "enter"
    )
    if old:
        yield f"{old} decisions answer reports older than {EVENT_AGE_MS // 1000} s"
    for what, count in found.orphans.items():
        if count:
            yield f"{count} decisions are {what.replace('_', ' ')}"


RULES: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    money,
    redeemed_once,
    one_push_an_occasion,
    settled,
    consent,
    caps,
    events,
)
