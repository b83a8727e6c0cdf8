"""The slow twin of `step`: one entry after the other, one ping after the other, dictionaries and loops.

It knows worlds in which every store is always open, nobody is idle for a day and no two campaigns have the same
priority; presence is the twin of `geo.transitions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.log.entries import Entry, EntryKind, Fact, PingBatch, Reclaim, SearchEvent, Switch
from geo.fence import Circle
from geo.records import Kind
from offers.campaign import Campaign
from tests.reference.geo_ground import edge_m
from tests.reference.geo_visits import Ping, Twin, appeared

PARTITIONS = 16
DAY_MS = 86_400_000
STALE_MS = 120_000
KEPT_MS = 3_600_000
LOCATION, HISTORY, MARKETING = 1, 2, 12
_OF = dict.fromkeys(("accepted", "duplicate", "late"), "ping")


@dataclass(frozen=True)
class Place:
    """A fence as the twin knows it: the circle, and which store it lies around."""

    circle: Circle
    store: int
    code: str


@dataclass(frozen=True)
class Live:
    """One revision: campaigns by id, and the fences."""

    campaigns: Mapping[int, Campaign]
    places: Sequence[Place]


@dataclass(frozen=True)
class Call:
    """One trigger; of a start, the campaigns that are met, and since when the customer is there."""

    kind: str
    place: Place
    dwell_s: int = 0
    search: SearchEvent | None = None
    started: frozenset[int] = frozenset()
    since_ms: int = 0


@dataclass(frozen=True)
class Happening:
    """Why `decide` is asked."""

    number: int
    at_ms: int
    log_ms: int
    initial: bool
    triggers: Sequence[Call]


@dataclass(frozen=True)
class Made:
    """A decision, as far as the twin tells it."""

    number: int
    trigger: str
    campaign: int
    store: int
    event_at_ms: int
    logged_ms: int
    held: tuple[tuple[int, str], ...]


@dataclass
class SlowMatcher:
    """`products` maps codes to ids (of the one retailer there is)."""

    revisions: Mapping[int, Live]
    products: Mapping[str, int]
    revision: int
    consents: dict[int, int]
    granted: Counter[int]
    reset_until_ms: int = 0
    spent: Counter[int] = field(default_factory=Counter)
    coupons: list[tuple[int, int, int]] = field(default_factory=list)
    purchases: list[tuple[int, int, int]] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    fact_seq: int = 0
    made: list[Made] = field(default_factory=list)
    tally: Counter[tuple[int, str]] = field(default_factory=Counter)
    returned: Counter[int] = field(default_factory=Counter)
    presence: Twin = field(init=False)
    unmet_before_ms: dict[int, int] = field(default_factory=dict)
    """Campaign → visits confirmed last before this have not met it."""

    def __post_init__(self) -> None:
        self.presence = Twin([place.circle for place in self.live.places])

    @property
    def live(self) -> Live:
        return self.revisions[self.revision]

    def take(self, entry: Entry) -> None:
        payload: Any = entry.payload
        match entry.kind:
            case EntryKind.PINGS:
                self._pings(payload, entry.log_ms)
            case EntryKind.TICK:
                self._tick(entry.log_ms)
            case EntryKind.SEARCH:
                self._search(payload, entry.log_ms)
            case EntryKind.FACTS:
                for fact in payload:
                    self._fact(fact)
            case EntryKind.SWITCH:
                self._switch(payload, entry.log_ms)
            case EntryKind.RECLAIM:
                self._reclaim(payload)

    # ── presence ──

    def _pings(self, batch: PingBatch, log_ms: int) -> None:
        for i in range(len(batch)):
            number, at_ms = int(batch.number[i]), int(batch.at_ms[i])
            if not self.consents.get(number, 0) & LOCATION:
                self.tally[0, "ping.no_consent"] += 1
                continue
            before = Counter(self.presence.counts)
            ping = Ping(number, float(batch.lat[i]), float(batch.lng[i]), float(batch.accuracy_m[i]), at_ms)
            events = self.presence.ping(i, ping)
            for name, n in (self.presence.counts - before).items():
                self.tally[0, f"{_OF.get(name, 'undecided')}.{name}"] += n
                if name == "late":
                    self.tally[0, "undecided.stale"] += n
            self._transitions(number, at_ms, log_ms, events)

    def _tick(self, log_ms: int) -> None:
        events = self.presence.tick(log_ms)
        for number in sorted({event[4] for event in events}):
            self._transitions(number, log_ms, log_ms, [event for event in events if event[4] == number])

    def _transitions(
        self, number: int, at_ms: int, log_ms: int, events: Sequence[Any], started: frozenset[int] | None = None
    ) -> None:
        triggers, places = [], sorted(self.live.places, key=lambda place: place.circle.fence)
        for kind, _, _, _, _, position, since_ms, when_ms, dwell_s in events:
            name = Kind(kind).name.lower()
            self.tally[0, f"trigger.{name}"] += 1
            unmet = frozenset(c for c, before_ms in self.unmet_before_ms.items() if when_ms < before_ms)
            if name != "exit":
                met = unmet if started is None else started
                triggers.append(Call(name, places[position], dwell_s, None, met, since_ms))
        if triggers:
            initial = any(event[2] for event in events)
            self._decide(Happening(number, at_ms, log_ms, initial, triggers))

    def _search(self, search: SearchEvent, log_ms: int) -> None:
        if not self.consents.get(search.number, 0) & LOCATION:
            self.tally[0, "search.no_consent"] += 1
            return
        self.tally[0, "trigger.search"] += 1
        near = [place for place in self.live.places if edge_m(place.circle, search.lat, search.lng) <= 0]
        if near:
            triggers = [Call("search", place, search=search) for place in near]
            self._decide(Happening(search.number, search.at_ms, log_ms, False, triggers))

    def _switch(self, switch: Switch, log_ms: int) -> None:
        if switch.revision > self.revision and switch.revision in self.revisions:
            before, self.revision = self.live, switch.revision
            gone = self.presence.switch([place.circle for place in self.live.places], log_ms)
            if gone:
                self.tally[0, "trigger.exit"] += len(gone)
            self._start(before, log_ms)

    def _start(self, before: Live, log_ms: int) -> None:
        """Campaigns that were not live before, and fences that were not there, meet who is inside."""
        fresh_from_ms, live = log_ms - STALE_MS, self.live.campaigns
        started = frozenset(
            c for c, spec in live.items() if c not in before.campaigns and spec.trigger in ("enter", "dwell")
        )
        lately = {c: ms for c, ms in self.unmet_before_ms.items() if c in live and ms > fresh_from_ms - KEPT_MS}
        self.unmet_before_ms = lately | dict.fromkeys(started, fresh_from_ms)
        self.presence.unmet_before_ms = {}
        for campaign, before_ms in sorted(self.unmet_before_ms.items(), key=lambda each: each[1]):
            self.presence.unmet_before_ms |= dict.fromkeys(self._fences({campaign}), before_ms)
        old, new = ([place.circle for place in one.places] for one in (before, self.live))
        events = self.presence.meet(self._fences(started), fresh_from_ms)
        events += self.presence.arrive(appeared(old, new), fresh_from_ms)
        for number in sorted({event[4] for event in events}):
            mine = [event for event in events if event[4] == number]
            self._transitions(number, log_ms, log_ms, mine, started)

    def _fences(self, campaigns: Collection[int]) -> set[int]:
        return {
            place.circle.fence
            for place in self.live.places
            for c in campaigns
            if _runs_at(self.live.campaigns[c], place)
        }

    # ── decisions ──

    def _decide(self, happening: Happening) -> None:
        passed: list[tuple[int, int, str, int]] = []
        held: dict[int, str] = {}
        for number, spec in self.live.campaigns.items():
            for call in happening.triggers:
                if not _runs_at(spec, call.place) or not _waits(number, spec, call):
                    continue
                why = self._why_not(number, spec, happening, call)
                if why:
                    held[number] = why
                else:
                    passed.append((-spec.priority, number, call.kind, call.place.store))
        for _, number, _, _ in sorted(passed)[1:]:
            held[number] = "outranked"
        for number, why in held.items():
            self.tally[number, f"reason.{why}"] += 1
        if passed:
            _, number, kind, store = min(passed)
            self.tally[number, "decision"] += 1
            self.spent[number] += 1
            self.coupons.append((happening.number, number, happening.log_ms))
            told = tuple(sorted(held.items()))
            self.made.append(Made(happening.number, kind, number, store, happening.at_ms, happening.log_ms, told))

    def _why_not(self, number: int, spec: Campaign, happening: Happening, call: Call) -> str | None:
        search = call.search
        consents, log_ms = self.consents.get(happening.number, 0), happening.log_ms
        bought, wanted = spec.audience.bought, spec.search
        had = [at for who, what, at in self.coupons if (who, what) == (happening.number, number)]
        recent = [at for at in had if log_ms - at < spec.cap.per_days * DAY_MS]
        answers = search is not None and wanted is not None and self._ids(wanted.products) & set(search.products)
        questions = [
            ("stopped", number in self.stopped),
            ("stale_event", log_ms - happening.at_ms > STALE_MS),
            ("after_reset", search is None and happening.initial and log_ms < self.reset_until_ms),
            ("no_marketing_consent", not consents & MARKETING),
            ("search_mismatch", search is not None and not answers),
            ("no_history_consent", bought is not None and not consents & HISTORY),
            ("not_in_audience", bought is not None and not self._has_bought(happening.number, spec, log_ms)),
            ("cap_reached", call.kind == "start" and any(at >= call.since_ms for at in had)),
            ("cap_reached", len(recent) >= spec.cap.coupons),
            ("budget_exhausted", self.granted[number] - self.spent[number] <= 0),
        ]
        return next((reason for reason, holds in questions if holds), None)

    def _ids(self, codes: Sequence[str]) -> set[int]:
        return {self.products[code] for code in codes}

    def _has_bought(self, number: int, spec: Campaign, log_ms: int) -> bool:
        bought = spec.audience.bought
        assert bought is not None
        ids, age_ms = self._ids(bought.products), bought.within_days * DAY_MS
        return any(who == number and what in ids and log_ms - at <= age_ms for who, what, at in self.purchases)

    # ── facts ──

    def _fact(self, fact: Fact) -> None:
        if fact.seq <= self.fact_seq:
            return
        self.fact_seq, payload = fact.seq, fact.payload
        number, campaign = payload.get("number", -1), payload.get("campaign", -1)
        if fact.kind in ("consent", "forget"):
            self.consents[number] = payload.get("consents", 0)
            self._forget(number, coupons=fact.kind == "forget")
        elif fact.kind == "purchase" and self.consents.get(number, 0) & HISTORY:
            self.purchases += [(number, product, payload["at_ms"]) for product, _ in payload["lines"]]
        elif fact.kind == "outcome":
            coupon = (number, campaign, payload["logged_ms"])
            if coupon in self.coupons:  # else its customer was forgotten meanwhile
                self.coupons.remove(coupon)
            self.spent[campaign] -= 1
            self.tally[campaign, "refund"] += 1
        elif fact.kind == "grant":
            self.granted[campaign] += payload["coupons"]
        elif fact.kind == "stop":
            self.stopped.add(campaign)

    def _forget(self, number: int, *, coupons: bool) -> None:
        if not self.consents[number] & LOCATION:
            self.presence.forget(number)
        if not self.consents[number] & HISTORY:
            self.purchases = [line for line in self.purchases if line[0] != number]
        if coupons:
            self.coupons = [coupon for coupon in self.coupons if coupon[0] != number]

    def _reclaim(self, reclaim: Reclaim) -> None:
        left = self.granted[reclaim.campaign] - self.spent[reclaim.campaign]
        back = min(reclaim.coupons, left)
        self.granted[reclaim.campaign] -= back
        self.returned[reclaim.campaign] += back


def _runs_at(spec: Campaign, place: Place) -> bool:
    return place.circle.radius_m == spec.radius_m and (not spec.stores or place.code in spec.stores)


def _waits(number: int, spec: Campaign, call: Call) -> bool:
    if call.kind != "start":
        return call.kind == spec.trigger and (call.kind != "dwell" or call.dwell_s == spec.dwell_s)
    return number in call.started and (spec.trigger == "enter" or call.dwell_s >= spec.dwell_s > 0)
