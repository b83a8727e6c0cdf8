"""Recorded tracks: TCX and GPX files, plain or gzipped, become latitudes, longitudes and times."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import numpy as np

from engine.demo.city import DATA
from engine.demo.plane import Floats, Ints, Plane, around
from engine.errors import CandlemakerError

RUN = DATA / "tracks" / "run.tcx.gz"
RIDE = DATA / "tracks" / "ride.gpx.gz"
MOST_BYTES = 64 << 20  # unpacked; a day at 1 Hz with a watch's extras is about half of it
MOST_FIXES = 500_000

Fix = tuple[float, float, int]


class TrackError(CandlemakerError):
    """The file is not a track that can be replayed; the sentence says why."""


@dataclass(frozen=True)
class Track:
    """Fixes, `at_ms` (epoch) strictly rising; `skipped` counts those without place or new time."""

    name: str
    lat_deg: Floats
    lng_deg: Floats
    at_ms: Ints
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.at_ms)

    @cached_property
    def plane(self) -> Plane:
        """Local metres around the track's own middle."""
        return around(self.lat_deg, self.lng_deg)

    def starting_at(self, start_ms: int) -> Track:
        """The same track begun at another moment."""
        return replace(self, at_ms=self.at_ms - self.at_ms[0] + start_ms)

    def without_pauses(self, longest_s: int) -> Track:
        """The same fixes, every gap longer than *longest_s* cut to it (a watch stopped at a bench)."""
        steps_ms = np.minimum(np.diff(self.at_ms), longest_s * 1_000)
        return replace(self, at_ms=self.at_ms[0] + np.concatenate([[0], np.cumsum(steps_ms)]))


def read_track(path: Path) -> Track:
    """Read a .tcx or .gpx file, gzipped or not; `TrackError` in one sentence for anything else."""
    root = _parsed(path, _bytes(path))
    readers = {"TrainingCenterDatabase": _tcx, "gpx": _gpx}
    if (kind := _local(root.tag)) not in readers:
        raise TrackError(f"{path.name}: <{kind}> is neither a TCX nor a GPX file")
    fixes: list[Fix] = []
    skipped = 0
    for node in readers[kind](root):
        fix = _fix(path, node)
        if fix is None or (fixes and fix[2] == fixes[-1][2]):
            skipped += 1
        elif fixes and fix[2] < fixes[-1][2]:
            raise TrackError(f"{path.name}: fix {len(fixes) + skipped + 1} is earlier than the one before it")
        else:
            fixes.append(fix)
    return _track(path, fixes, skipped)


def _track(path: Path, fixes: list[Fix], skipped: int) -> Track:
    if not 2 <= len(fixes) <= MOST_FIXES:
        raise TrackError(f"{path.name}: {len(fixes)} fixes with place and time; between 2 and {MOST_FIXES} are needed")
    lat_deg, lng_deg, at_ms = zip(*fixes, strict=True)
    return Track(path.name, np.array(lat_deg), np.array(lng_deg), np.array(at_ms, dtype=np.int64), skipped)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TrackError(f"{path.name}: cannot be read: {error}") from error
    if len(content) > MOST_BYTES:
        raise TrackError(f"{path.name}: larger than {MOST_BYTES >> 20} MiB unpacked")
    return content


class _NoDoctype(ElementTree.TreeBuilder):
    """Neither format has a document type; entity bombs need one."""

    def doctype(self, *_: Any) -> NoReturn:
        raise TrackError("a document type is refused")


def _parsed(path: Path, content: bytes) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 entities need a doctype, which is refused
    try:
        parser.feed(content)
        return parser.close()
    except TrackError as error:
        raise TrackError(f"{path.name}: {error}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise TrackError(f"{path.name}: not XML: {error}") from error


def _tcx(root: ElementTree.Element) -> Iterator[tuple[str | None, str | None, str | None]]:
    for point in root.iterfind(".//{*}Trackpoint"):
        place = "{*}Position/{*}"
        yield (
            point.findtext(place + "LatitudeDegrees"),
            point.findtext(place + "LongitudeDegrees"),
            point.findtext("{*}Time"),
        )


def _gpx(root: ElementTree.Element) -> Iterator[tuple[str | None, str | None, str | None]]:
    for point in root.iterfind(".//{*}trkpt"):
        yield point.get("lat"), point.get("lon"), point.findtext("{*}time")


def _fix(path: Path, node: tuple[str | None, str | None, str | None]) -> Fix | None:
    """(lat, lng, at_ms); None where place or time are missing; `TrackError` where they are nonsense."""
    lat, lng, time = node
    if not lat or not lng or not time:
        return None
    try:
        lat_deg, lng_deg, at = float(lat), float(lng), datetime.fromisoformat(time.strip())
    except ValueError as error:
        raise TrackError(f"{path.name}: {error}") from error
    if not (-90 <= lat_deg <= 90 and -180 <= lng_deg <= 180):
        raise TrackError(f"{path.name}: ({lat_deg}, {lng_deg}) is not on the globe")
    if at.tzinfo is None:
        raise TrackError(f"{path.name}: the time {time.strip()!r} has no zone")
    return lat_deg, lng_deg, round(at.timestamp() * 1_000)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
