"""The noise: calibrated on the shipped run; what it makes has the tails and memory it was given."""

from __future__ import annotations

import numpy as np
import pytest

from engine.demo.noise import URBAN_FACTOR, Noise, calibrated
from engine.demo.residuals import Residuals, Spread, fit, residuals
from engine.demo.tracks import RIDE, RUN, Track, read_track


@pytest.fixture(scope="module")
def made() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Errors of 40 receivers over 1,500 s, shape (seconds, 2, receivers)."""
    noise = Noise(calibrated(), 40, np.random.default_rng(3))
    rows = []
    for _ in range(1_500):
        noise.advance(1.0)
        rows.append(np.stack(noise.errors_m()))
    return np.array(rows)


def test_calibration_on_the_shipped_run() -> None:
    sample = residuals(read_track(RUN))
    assert len(sample.metres) == 3_467  # 3,507 fixes less ten at each end of the two parts around the pause
    assert np.hypot(*sample.metres.T).mean() == pytest.approx(0.406, abs=0.001)
    measured = fit(sample)
    assert measured.scale_m == pytest.approx(0.2633, abs=0.0005)
    assert measured.freedom == pytest.approx(4.17, abs=0.01)
    assert measured.memory == pytest.approx(0.8217, abs=0.0005)
    assert measured.radius68_m == pytest.approx(0.4645, abs=0.0005)
    assert calibrated() == measured.times(URBAN_FACTOR)


def test_the_ride_has_heavy_tails_too() -> None:
    assert 1.5 < fit(residuals(read_track(RIDE))).freedom < 6


def test_fit_finds_what_was_drawn() -> None:
    drawn = 2.5 * np.random.default_rng(1).standard_t(3.0, size=(40_000, 2))
    found = fit(Residuals(drawn, np.arange(40_000) > 0))
    assert found.scale_m == pytest.approx(2.5, rel=0.03)
    assert found.freedom == pytest.approx(3.0, rel=0.05)
    assert found.memory == pytest.approx(0.0, abs=0.02)


def test_a_parabola_has_no_residual_and_a_pause_is_not_crossed() -> None:
    seconds = np.arange(60)
    at_ms = np.where(seconds < 30, seconds, seconds + 500) * 1_000
    lat_deg = 60 + 1e-5 * seconds + 1e-7 * seconds**2 + np.where(seconds < 30, 0, 0.01)
    found = residuals(Track("parabola", lat_deg, np.full(60, 25.0), at_ms))
    assert len(found.metres) == 20
    assert np.abs(found.metres).max() < 1e-6
    assert found.follows.sum() == 18


def test_a_track_without_a_whole_window_is_refused() -> None:
    with pytest.raises(ValueError, match="21 fixes in a row"):
        residuals(Track("slow", np.full(50, 60.0), np.full(50, 25.0), np.arange(50) * 5_000))


def test_errors_have_the_calibrated_tails(made: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    spread = calibrated()
    rows = made.transpose(2, 0, 1).reshape(-1, 2)
    found = fit(Residuals(rows, np.arange(len(rows)) % 1_500 > 0))
    assert found.scale_m == pytest.approx(spread.scale_m, rel=0.05)
    assert found.freedom == pytest.approx(spread.freedom, rel=0.15)
    assert found.memory == pytest.approx(spread.memory, abs=0.03)
    assert 7 * 0.95 < np.hypot(*rows.T).mean() < 7 * 1.05
    assert (np.hypot(*rows.T) > 30).mean() > 0.001  # a Gaussian of this width would have almost none


def test_memory_fades_with_time_and_standing_still_changes_nothing() -> None:
    spread = Spread(1.0, 8.0, 0.9, 1.5)
    noise = Noise(spread, 50_000, np.random.default_rng(5))
    first = noise.errors_m()[0]
    noise.advance(0.0)
    assert np.array_equal(noise.errors_m()[0], first)
    noise.advance(10.0)
    assert np.corrcoef(first, noise.errors_m()[0])[0, 1] == pytest.approx(0.9**10, abs=0.03)


def test_claimed_accuracy_fits_the_errors() -> None:
    noise = Noise(calibrated(), 20_000, np.random.default_rng(6))
    claimed, error_m = noise.accuracy_m(), np.hypot(*noise.errors_m())
    assert np.median(claimed) == pytest.approx(calibrated().radius68_m, rel=0.02)
    assert 0.60 < (error_m <= claimed).mean() < 0.75  # meant to be 68 %
    assert claimed.min() >= 1
