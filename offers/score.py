"""Which of several eligible offers is the best one: a total order that ends in ids."""

from __future__ import annotations

import math
from typing import NamedTuple

from offers.affinity import terms as affinity_terms
from offers.eligible import Candidate, Moment

# Enough to tell tastes apart; what lies beyond is rounding, and rounding must not choose.
DIGITS = 6

Terms = dict[str, float | int]


class Scored(NamedTuple):
    """An eligible candidate with the terms that rank it."""

    candidate: Candidate
    terms: Terms

    @property
    def order(self) -> tuple[float, ...]:
        """Ascending from the best: priority, affinity, worth, nearness; then campaign and store id break the tie."""
        t, c = self.terms, self.candidate
        return -t["priority"], -t["affinity"], -t["worth_minor"], t["distance_m"], c.campaign.id, c.store


def scored(candidate: Candidate, moment: Moment) -> Scored:
    """The candidate with its terms: `affinity` is the sum of its own terms."""
    campaign = candidate.campaign
    affinity = affinity_terms(moment.profile, campaign, moment.cross_retailer)
    terms: Terms = {
        "priority": campaign.priority,
        "affinity": round(math.fsum(affinity.values()), DIGITS),
        **affinity,
        "worth_minor": campaign.worth_minor,
        "distance_m": candidate.distance_m,
    }
    return Scored(candidate, terms)
