"""The bars: what is claimed is what is measured, and a missed or missing figure fails."""

import asyncio
import datetime
import importlib.metadata
import re
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import bars, geo_encode, report, result, run
from benchmarks.bars import Bar
from benchmarks.machine import Machine
from benchmarks.result import Result, Row
from geo.cells import library_leaves

CLAIMED = {
    "pings_batched": (50_000, "pings/s", "at_least"),
    "pings_single": (5_000, "requests/s", "at_least"),
    "ping_to_stand_in_p50": (50, "ms", "at_most"),
    "ping_to_stand_in_p99": (250, "ms", "at_most"),
    "takeover_killed": (15, "s", "at_most"),
    "takeover_paused": (15, "s", "at_most"),
    "stop_to_last_decision": (1, "s", "at_most"),
    "stop_to_last_send": (1, "s", "at_most"),
    "first_coupon": (90, "s", "at_most"),
    "bytes_a_customer": (400, "bytes", "at_most"),
    "encode_h3": (4, "times h3", "at_least"),
    "encode_h3ronpy": (2, "times h3ronpy", "at_least"),
    "fences_100k_real_strtree": (20, "times shapely STRtree", "at_least"),
    "fences_100k_uniform_strtree": (20, "times shapely STRtree", "at_least"),
    "fences_1m_real_strtree": (20, "times shapely STRtree", "at_least"),
    "fences_1m_uniform_strtree": (20, "times shapely STRtree", "at_least"),
    "fences_100k_real_postgis": (100, "times PostGIS", "at_least"),
    "fences_100k_uniform_postgis": (100, "times PostGIS", "at_least"),
    "fences_1m_real_postgis": (100, "times PostGIS", "at_least"),
    "fences_1m_uniform_postgis": (100, "times PostGIS", "at_least"),
    "circles_100k_real_ckdtree": (4, "times scipy cKDTree", "at_least"),
    "circles_100k_uniform_ckdtree": (4, "times scipy cKDTree", "at_least"),
    "circles_1m_real_ckdtree": (4, "times scipy cKDTree", "at_least"),
    "circles_1m_uniform_ckdtree": (4, "times scipy cKDTree", "at_least"),
    "polygon_vertices": (1.5, "times", "at_most"),
    "walk_1k_1m_fences": (1.5, "times", "at_most"),
    "nearest_valkey": (10, "times Valkey GEOSEARCH", "at_least"),
    "pings_inside_p99": (1, "ms", "at_most"),
    "pings_bytes": (48, "bytes", "at_most"),
    "compile_100k": (5, "s", "at_most"),
    "memory_1m_circles": (1, "GB", "at_most"),
    "load_1m_circles": (100, "ms", "at_most"),
    "warm_start": (2, "s", "at_most"),
    "inventory_first": (300, "s", "at_most"),
    "inventory_again": (300, "s", "at_most"),
    "inventory_memory": (500, "MB", "at_most"),
    "inventory_pings_p99": (100, "ms", "at_most"),
    "campaigns_live": (30, "s", "at_most"),
    "edit_live": (1, "s", "at_most"),
    "circle_live": (1, "s", "at_most"),
    "drawn_live": (1, "s", "at_most"),
    "campaigns_pings_p99": (100, "ms", "at_most"),
    "share_of_naive": (0.02, "of the naive transitions", "at_most"),
    "missed_visits": (0, "visits", "at_most"),
    "false_visits": (1, "a device-day", "at_most"),
    "decide_postgres": (50, "times PostgreSQL", "at_least"),
    "decide_numpy": (50, "times numpy", "at_least"),
    "tile38_10k_walking": (3, "times Tile38 (appendonly no)", "at_least"),
    "tile38_10k_walking_aof": (3, "times Tile38 (appendonly yes)", "at_least"),
    "tile38_10k_walking_msgpack": (3, "times Tile38 (appendonly no)", "at_least"),
    "tile38_10k_teleporting": (5, "times Tile38 (appendonly no)", "at_least"),
    "tile38_10k_teleporting_aof": (5, "times Tile38 (appendonly yes)", "at_least"),
    "tile38_10k_teleporting_msgpack": (5, "times Tile38 (appendonly no)", "at_least"),
    "tile38_10k_walking_p99": (2, "times Tile38 (appendonly no)", "at_least"),
    "tile38_10k_teleporting_p99": (2, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_walking": (10, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_walking_aof": (10, "times Tile38 (appendonly yes)", "at_least"),
    "tile38_100k_walking_msgpack": (10, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_teleporting": (10, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_teleporting_aof": (10, "times Tile38 (appendonly yes)", "at_least"),
    "tile38_100k_teleporting_msgpack": (10, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_walking_p99": (2, "times Tile38 (appendonly no)", "at_least"),
    "tile38_100k_teleporting_p99": (2, "times Tile38 (appendonly no)", "at_least"),
    "http_pings": (200_000, "pings/s", "at_least"),
    "http_coupons": (0.2, "%", "at_least"),
    "step_pings": (150_000, "pings/s", "at_least"),
    "step_decisions": (1_500, "decisions/s", "at_least"),
    "live_decided": (1, "s", "at_most"),
    "load_errors": (0, "errors", "at_most"),
    "load_p99": (100, "ms", "at_most"),
    "load_memory": (2, "%", "at_most"),
    "transport_pyreqwest": (1, "times pyreqwest", "at_least"),
    "transport_pycurl": (1, "times pycurl", "at_least"),
    **{
        name + distance: claim
        for distance in ("", "_far")
        for name, claim in {
            "cpu_message": (120, "µs", "at_most"),
            "cpu_firebase_admin": (12, "times firebase-admin async", "at_least"),
            "cpu_pyfcm": (7, "times pyfcm, best mode", "at_least"),
            "cpu_fcm_v1_http2": (0.8, "times fcm-v1-http2", "at_least"),
            "rate_h2load": (0.3, "times h2load", "at_least"),
            "million": (250, "s", "at_most"),
            "million_transactional": (100, "ms", "at_most"),
            "paced_used": (95, "%", "at_least"),
            "paced_429": (0.1, "%", "at_most"),
            "storm_amplification": (1.1, "times", "at_most"),
        }.items()
    },
}
MACHINE = Machine("a processor", 2, 4.0, "3.11.0", {"numpy": "2"})
NOON = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)


def a_row(bar: Bar, ours: float) -> Row:
    """With the figure *ours*; a peer's is 1."""
    if bar.peer is not None:
        return result.compared(bar, [ours] * 3, [1.0] * 3, "1.0", "alone")
    return result.row(bar, [ours, ours, ours], "alone")


def all_met() -> dict[str, Result]:
    """A result for every bench, each figure exactly at its bar."""
    return {
        name: Result(name, NOON, plan.seed, "abc", MACHINE, [a_row(bar, bar.bar) for bar in plan.bars])
        for name, plan in bars.load().items()
    }


def test_no_bar_is_bent() -> None:
    found = {bar.name: (bar.bar, bar.measure, bar.direction) for plan in bars.load().values() for bar in plan.bars}
    assert found == CLAIMED


def test_the_load_of_each_claim_is_the_claimed_one() -> None:
    plans = bars.load()
    assert plans["ingest"].count("batch") == 500
    assert plans["latency"].count("pings_per_s") == 20_000
    assert plans["latency"].count("windows") * plans["latency"].number("window_s") >= 60
    assert (plans["geo_fences"].count("few"), plans["geo_fences"].count("many")) == (100_000, 1_000_000)
    assert (plans["geo_polygons"].count("few"), plans["geo_polygons"].count("many")) == (10, 10_000)
    assert (plans["geo_scale"].count("few"), plans["geo_scale"].count("many")) == (1_000, 1_000_000)
    assert (plans["geo_pings"].count("customers"), plans["geo_pings"].count("radius_m")) == (1_000_000, 500)
    assert (plans["geo_compile"].count("fences"), plans["geo_compile"].count("circles")) == (100_000, 1_000_000)
    assert plans["upload_inventory"].count("stores") * plans["upload_inventory"].count("products") == 10_000_000
    assert plans["upload_campaigns"].count("campaigns") == 100_000
    for name, count in (("match_tile38_10k", 10_000), ("match_tile38_100k", 100_000)):
        assert (plans[name].count("fences"), plans[name].count("radius_m")) == (count, 200)
    assert (plans["match_http"].count("fences"), plans["match_live"].count("customers")) == (10_000, 10_000)
    assert (plans["match_step"].count("campaigns"), plans["match_step"].count("customers")) == (100_000, 1_000_000)
    assert plans["match_step"].number("trigger_share") == 0.01
    assert (plans["match_load"].count("load_s"), plans["match_load"].number("share")) == (600, 0.6)
    assert plans["send_million"].count("recipients") == plans["send_million_far"].count("recipients") == 1_000_000
    assert (
        plans["send_paced"].settings["fcm_quota_per_s"] == plans["send_paced_far"].settings["fcm_quota_per_s"] == 2000
    )
    for name in ("send_storm", "send_storm_far"):
        assert (plans[name].number("share"), plans[name].number("storm_s")) == (0.3, 60)
    for name, plan in plans.items():
        assert plan.workload.get("added_ms", 0) == (100 if name.endswith("_far") else 0)
    # An upload of millions of rows takes a minute, and is one run; so are a million pushes, a storm, a load, noise.
    once = ("upload_", "match_load", "match_jitter", "send_million", "send_storm")
    repeated = [plan for name, plan in plans.items() if not name.startswith(once)]
    rounds = [plan.workload.get("rounds", plan.workload.get("windows", 0)) for plan in repeated]
    assert min(rounds) >= 5


def test_every_bench_has_a_plan_and_every_plan_a_bench() -> None:
    assert run.BENCHES.keys() == bars.load().keys()


def test_exactly_the_bar_is_met_and_a_hair_beyond_it_is_not() -> None:
    least = Bar("rate", "pings/s", 50_000, "at_least", "")
    most = Bar("wait", "ms", 50, "at_most", "")
    assert least.met(50_000) and not least.met(49_999.9)
    assert most.met(50) and not most.met(50.1)


def test_a_figure_is_judged_before_it_is_rounded() -> None:
    row = result.row(Bar("rate", "pings/s", 50_000, "at_least", ""), [49_999.0], "")
    assert (row.ours, row.met) == (50_000.0, False)


def test_the_figure_is_the_median_unless_another_is_given() -> None:
    bar = Bar("wait", "s", 15, "at_most", "")
    assert result.row(bar, [1.0, 9.0, 2.0], "").ours == 2.0
    worst = result.row(bar, [1.0, 20.0, 2.0], "", ours=20.0)
    assert (worst.ours, worst.met, worst.spread) == (20.0, False, (1.0, 20.0))


def test_against_a_peer_the_ratio_of_the_medians_is_the_figure() -> None:
    bar = Bar("encode", "points/s", 4, "at_least", "", peer="h3")
    row = result.compared(bar, [8e6, 9e6, 1e6], [1e6, 2e6, 3e6], "4.5.0", "")
    assert (row.ours, row.peer, row.peer_version, row.theirs, row.ratio) == (8e6, "h3", "4.5.0", 2e6, 4.0)
    assert (row.figure, row.met, row.spread) == (4.0, True, (0.3333, 8.0))
    assert not result.compared(bar, [7.9e6], [2e6], "4.5.0", "").met


def test_a_peer_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h3ronpy", None)
    with pytest.raises(RuntimeError, match="make peers"):
        asyncio.run(geo_encode.bench(bars.load()["geo_encode"]))


def test_the_encoders_take_turns_and_give_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = bars.load()["geo_encode"]
    small = msgspec.structs.replace(plan, workload=plan.workload | {"points": 500, "rounds": 2})
    monkeypatch.setattr(geo_encode, "_h3ronpy", lambda: lambda lat, lng, res: library_leaves(lat, lng))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"of {name}")
    rows = asyncio.run(geo_encode.bench(small))
    assert [(row.name, row.peer, row.peer_version) for row in rows] == [
        ("encode_h3", "h3", "of h3"),
        ("encode_h3ronpy", "h3ronpy", "of h3ronpy"),
    ]
    assert all(row.theirs and row.ratio for row in rows)
    monkeypatch.setattr(geo_encode, "_h3ronpy", lambda: lambda lat, lng, res: library_leaves(lng / 2, lat))
    with pytest.raises(RuntimeError, match="the same cells"):
        asyncio.run(geo_encode.bench(small))


def test_a_result_is_written_in_the_designs_format_and_read_back(tmp_path: Path) -> None:
    written = all_met()["ingest"]
    path = result.write(written, tmp_path)
    assert path.name == "ingest.json"
    plain = msgspec.json.decode(path.read_bytes())
    assert plain.keys() == {"bench", "at", "seed", "commit", "machine", "rows"}
    assert plain["machine"].keys() == {"cpu", "cores", "memory_gb", "python", "versions"}
    names = "name unit ours peer peer_version theirs ratio bar met spread note"
    assert plain["rows"][0].keys() == set(names.split())
    assert plain["rows"][0]["peer"] is None
    assert result.read(tmp_path) == {"ingest": written}


def test_the_report_passes_when_every_bar_is_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for one in all_met().values():
        result.write(one, tmp_path)
    assert report.main(tmp_path) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in CLAIMED)


def test_the_report_fails_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(tmp_path) == 1
    assert "was not measured" in capsys.readouterr().out


@pytest.mark.parametrize("name", CLAIMED)
def test_the_report_names_each_missed_and_each_missing_bar(name: str) -> None:
    plans, results = bars.load(), all_met()
    bench = next(bench for bench, plan in plans.items() if any(bar.name == name for bar in plan.bars))
    bar = plans[bench].bar(name)
    others = [row for row in results[bench].rows if row.name != name]
    missed = a_row(bar, bar.bar * 0.9 if bar.direction == "at_least" else bar.bar * 1.1 or 1.0)
    for rows, says in (([*others, missed], "missed"), (others, "not measured")):
        results[bench] = msgspec.structs.replace(results[bench], rows=rows)
        assert [says in fault for fault in report.failures(plans, results) if name in fault] == [True]


def test_a_result_against_another_bar_or_with_a_wrong_verdict_fails() -> None:
    plans, results = bars.load(), all_met()
    row = results["memory"].rows[0]
    for wrong in (msgspec.structs.replace(row, bar=500.0), msgspec.structs.replace(row, ours=401.0)):
        results["memory"] = msgspec.structs.replace(results["memory"], rows=[wrong])
        assert len(report.failures(plans, results)) == 1


def test_a_committed_figure_against_a_peer_has_the_peers() -> None:
    plans = bars.load()
    for bench, one in result.read(result.FOLDER).items():
        peers = {bar.name: bar.peer for bar in plans[bench].bars}
        assert [row.name for row in one.rows if peers[row.name] and not (row.theirs and row.ratio)] == []


def test_a_bench_has_the_time_its_plan_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def endless(plan: bars.Plan) -> list[Row]:
        await asyncio.sleep(60.0)
        return []

    brief = {"memory": msgspec.structs.replace(bars.load()["memory"], longest_s=0.01)}
    monkeypatch.setattr(run, "load_average", lambda: 0.0)
    monkeypatch.setattr(bars, "load", lambda: brief)
    monkeypatch.setitem(run.BENCHES, "memory", endless)
    assert run.main(["memory", "--out", str(tmp_path)]) == 1


def test_all_of_the_geometry_is_asked_for_by_one_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def measured(name: str, *_: object) -> bool:
        asked.append(name)
        return True

    monkeypatch.setattr(run, "load_average", lambda: 0.0)
    monkeypatch.setattr(run, "_measured", measured)
    assert run.main(["--geometry", "--out", str(tmp_path)]) == 0
    assert asked == [name for name in run.BENCHES if name.startswith("geo_")]
    asked.clear()
    assert run.main(["--out", str(tmp_path)]) == 0
    assert asked == [name for name in run.BENCHES if not name.startswith(("geo_", "upload_", "match_", "send"))]
    asked.clear()
    assert run.main(["--upload", "--out", str(tmp_path)]) == 0
    assert asked == [name for name in run.BENCHES if name.startswith("upload_")]
    asked.clear()
    assert run.main(["--send", "--out", str(tmp_path)]) == 0
    assert asked == [name for name in run.BENCHES if name.startswith("send")]


def test_a_busy_machine_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "load_average", lambda: 0.51)
    assert run.main(["memory"]) == 2
    assert "0.51" in capsys.readouterr().err


def test_although_busy_measures_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def bench(plan: bars.Plan) -> list[Row]:
        return [a_row(plan.bars[0], 1.0)]

    monkeypatch.setattr(run, "load_average", lambda: 3.0)
    monkeypatch.setitem(run.BENCHES, "memory", bench)
    assert run.main(["memory", "--although-busy", "--out", str(tmp_path)]) == 0
    (row,) = result.read(tmp_path)["memory"].rows
    assert re.search(r"NOT ALONE.*3\.00", row.note)


def test_a_bench_that_fails_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_: bars.Plan) -> list[Row]:
        raise RuntimeError("a server went away")

    async def bench(plan: bars.Plan) -> list[Row]:
        return [a_row(plan.bars[0], 1.0)]

    monkeypatch.setattr(run, "load_average", lambda: 0.0)
    monkeypatch.setitem(run.BENCHES, "ingest", broken)
    monkeypatch.setitem(run.BENCHES, "memory", bench)
    assert run.main(["ingest", "memory", "--out", str(tmp_path)]) == 1
    assert result.read(tmp_path).keys() == {"memory"}
    assert "a server went away" in capsys.readouterr().err


def test_an_unknown_bench_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["speed"])
    assert "speed" in capsys.readouterr().err
