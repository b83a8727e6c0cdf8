"""Recorded tracks: the real ones give the known figures; anything else is refused in one sentence."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engine.demo import tracks
from engine.demo.tracks import RIDE, RUN, TrackError, read_track

POINT = '<trkpt lat="{}" lon="24.9"><time>{}</time></trkpt>'
FIRST, SECOND = "2026-01-03T09:00:00Z", "2026-01-03T09:00:01.5+00:00"


def gpx(*points: str) -> bytes:
    inner = "".join(points)
    return f'<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{inner}</trkseg></trk></gpx>'.encode()


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "walk.gpx"
    path.write_bytes(content)
    return path


def test_the_real_run() -> None:
    run = read_track(RUN)
    assert (len(run), run.skipped) == (3_507, 0)
    assert (run.lat_deg[0], run.lng_deg[0]) == (48.05249767, 6.9482215)
    assert run.at_ms[0] == datetime(2019, 1, 29, 10, 25, 13, tzinfo=UTC).timestamp() * 1_000
    assert (np.diff(run.at_ms) > 0).all() and np.diff(run.at_ms).max() == 398_719


def test_the_real_ride() -> None:
    ride = read_track(RIDE)
    assert (len(ride), ride.skipped) == (5_159, 0)
    assert ride.lat_deg[0] == pytest.approx(52.09731238894)
    assert set(np.diff(ride.at_ms).tolist()) == {1_000}


def test_plain_reads_as_gzipped(tmp_path: Path) -> None:
    plain = tmp_path / "run.tcx"
    plain.write_bytes(gzip.decompress(RUN.read_bytes()))
    assert np.array_equal(read_track(plain).lat_deg, read_track(RUN).lat_deg)


def test_fixes_without_place_or_new_time_are_counted(tmp_path: Path) -> None:
    points = [POINT.format(60.1, FIRST), '<trkpt lat="60.1" lon="24.9"/>', POINT.format(60.3, FIRST)]
    track = read_track(saved(tmp_path, gpx(*points, POINT.format(60.2, SECOND))))
    assert track.lat_deg.tolist() == [60.1, 60.2] and track.skipped == 2
    assert track.at_ms[1] - track.at_ms[0] == 1_500


def test_another_start_and_no_pauses() -> None:
    run = read_track(RUN)
    moved = run.starting_at(5_000)
    assert moved.at_ms[0] == 5_000 and np.array_equal(np.diff(moved.at_ms), np.diff(run.at_ms))
    brisk = moved.without_pauses(10)
    assert brisk.at_ms[0] == 5_000 and np.diff(brisk.at_ms).max() == 10_000
    assert brisk.at_ms[-1] == moved.at_ms[-1] - 388_719


BOMB = b'<!DOCTYPE gpx [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><gpx>&b;</gpx>'
REFUSED = {
    "not XML": b"lat,lng\n60,24\n",
    "not XML: ": b"",
    "cut short": gpx(POINT.format(60.1, FIRST))[:-9],
    "an entity bomb": BOMB,
    "an entity bomb in UTF-16": BOMB.decode().encode("utf-16"),
    "another format": b"<html><body/></html>",
    "no fixes": gpx(),
    "one fix": gpx(POINT.format(60.1, FIRST)),
    "off the globe": gpx(POINT.format(91, FIRST), POINT.format(60, SECOND)),
    "not a number": gpx(POINT.format("nan", FIRST), POINT.format(60, SECOND)),
    "words for a number": gpx(POINT.format("north", FIRST), POINT.format(60, SECOND)),
    "not a time": gpx(POINT.format(60, "noon"), POINT.format(60, SECOND)),
    "no zone": gpx(POINT.format(60, FIRST[:-1]), POINT.format(60, SECOND)),
    "backwards": gpx(POINT.format(60, SECOND), POINT.format(60, FIRST)),
    "half a gzip": RUN.read_bytes()[:20_000],
    "a broken gzip": b"\x1f\x8b" + b"\x00" * 40,
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TrackError, match=r"^walk\.gpx: "):
        read_track(saved(tmp_path, content))


def test_a_document_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="document type"):
        read_track(saved(tmp_path, BOMB))


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.gpx", tmp_path):
        with pytest.raises(TrackError, match="cannot be read"):
            read_track(path)


def test_bounds_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "MOST_BYTES", 1 << 20)
    with pytest.raises(TrackError, match="larger than 1 MiB"):
        read_track(RUN)
    monkeypatch.undo()
    monkeypatch.setattr(tracks, "MOST_FIXES", 3_000)
    with pytest.raises(TrackError, match="3507 fixes"):
        read_track(RUN)
