"""Walks drawn as text: what a picture says happened.

One column (a character and a blank) is 10 m east, one line 10 m south, anywhere near Helsinki. `A`..`Z` are
centres of fences, `a`..`z` the fixes in alphabetical order, anything else is scenery.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.transitions import PING, Advance, Kind, Reason, advance
from tests.reference.geo_ground import moved

CORNER = (60.1700, 24.9400)
START_MS = 1_700_000_000_000
STEP_M = 10.0


@dataclass(frozen=True)
class Walk:
    """How the picture is to be read."""

    radius_m: float = 25.0
    radii_m: dict[str, float] = field(default_factory=dict)
    every_s: float = 30.0
    """So rare that each fix is believed alone."""
    accuracy_m: float = 5.0
    accuracies_m: dict[str, float] = field(default_factory=dict)
    at_s: dict[str, float] = field(default_factory=dict)
    """Time of a fix after the start, where it is not its place in the alphabet times `every_s`."""
    dwells_s: tuple[int, ...] = ()


def marks(picture: str) -> dict[str, tuple[float, float]]:
    """Letter → (lat, lng)."""
    found = {}
    for line, text in enumerate(picture.strip("\n").splitlines()):
        for column, letter in enumerate(text):
            if letter.isalpha():
                found[letter] = moved(*CORNER, -STEP_M * line, STEP_M * column / 2)
    return found


def fences(picture: str, walk: Walk) -> FenceIndex:
    """`A` has id 1 and position 0, and so on."""
    drawn = sorted((letter, at) for letter, at in marks(picture).items() if letter.isupper())
    return FenceIndex.build(
        [Circle(ord(letter) - 64, *at, walk.radii_m.get(letter, walk.radius_m), walk.dwells_s) for letter, at in drawn]
    )


def fixes(picture: str, walk: Walk) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """PING[n] of row 0, in alphabetical order."""
    drawn = sorted((letter, at) for letter, at in marks(picture).items() if letter.islower())
    pings = np.zeros(len(drawn), PING)
    for ping, (letter, (lat, lng)) in zip(pings, drawn, strict=True):
        at_s = walk.at_s.get(letter, (ord(letter) - ord("a")) * walk.every_s)
        accuracy_m = walk.accuracies_m.get(letter, walk.accuracy_m)
        ping["lat"], ping["lng"], ping["accuracy_m"] = lat, lng, accuracy_m
        ping["at_ms"] = START_MS + round(at_s * 1000)
    return pings


def told(transitions: np.ndarray[tuple[int], np.dtype[np.void]]) -> list[str]:
    """Lines such as "b enter A", "f exit A left", "- dwell A 60 s": fix ("-": none), what, fence."""
    lines = []
    for one in transitions:
        kind = Kind(one["kind"])
        after = {
            Kind.ENTER: " initial" if one["initial"] else "",
            Kind.EXIT: f" {Reason(one['reason']).name.lower()}",
            Kind.DWELL: f" {one['dwell_s']} s",
        }[kind]
        fix = "-" if one["ping"] < 0 else chr(ord("a") + one["ping"])
        lines.append(f"{fix} {kind.name.lower()} {chr(ord('A') + one['fence'])}{after}")
    return lines


def walked(picture: str, walk: Walk, presence: Presence | None = None) -> Advance:
    """Judge the walk in one batch."""
    return advance(presence if presence is not None else Presence(), fences(picture, walk), fixes(picture, walk))


def story(picture: str, walk: Walk | None = None) -> list[str]:
    """What the picture says happened."""
    return told(walked(picture, walk or Walk()).transitions)
