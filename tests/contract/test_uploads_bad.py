"""Files that cannot be: each is rejected with a sentence, nothing of it is stored, and no answer is a 5xx."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.http.uploads import harmless
from engine.loader.body import Body
from engine.loader.faults import MOST_KEPT, Unreadable
from tests.contract.http_bodies import a_campaign, a_product, a_store, fresh, is_problem, now
from tests.contract.http_world import World
from tests.contract.upload_rig import MEDIA_OF, done, ended, faults, load, rejected, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "code,name,lat,lng,zone\n"
GOOD = "S-1,Shop,60.1,24.9,Europe/Helsinki\n"

TABLES: dict[str, tuple[str | bytes, list[tuple[str, str, str]]]] = {
    "empty": (" ", [("", "", "no_rows")]),
    "header only": (HEADER, [("", "", "no_rows")]),
    "header only, no line end": (HEADER.strip(), [("", "", "no_rows")]),
    "no header": (GOOD * 2, [("", "s-1", "unknown_column")]),
    "missing column": ("code,name,lat,lng\nS,S,1,1\n", [("", "zone", "missing_column")]),
    "extra column": (HEADER.strip() + ",budget_spent\n", [("", "budget_spent", "unknown_column")]),
    "another retailer's id": ("retailer_id," + HEADER + "2," + GOOD, [("", "retailer_id", "unknown_column")]),
    "duplicate header": ("code," + HEADER + "x," + GOOD, [("", "code", "repeated_column")]),
    "an alias twice": ("store_code," + HEADER + "x," + GOOD, [("", "code", "repeated_column")]),
    "missing cell": (HEADER + GOOD + "S-2,Shop,60.1,24.9\n" + GOOD.replace("S-1", "S-3"), [("2", "", "columns")]),
    "extra cell": (HEADER + GOOD.strip() + ",\n", [("1", "", "columns")]),
    "unclosed quote": (HEADER + GOOD + 'S-2,"Shop,60.1,24.9,Europe/Helsinki\n' + GOOD * 3, [("2", "", "quote")]),
    "unclosed quote in the last column": (
        HEADER + GOOD + 'S-2,Shop,60.1,24.9,"Europe/Helsinki\n' + GOOD * 3,
        [("2", "", "quote")],
    ),
    "unclosed quote in the only row": (HEADER + '"' + GOOD.strip(), [("1", "", "quote")]),
    "unclosed quote behind a short row": (
        HEADER + "S-1,Shop\n" + 'S-2,Shop,60.1,24.9,"Europe/Helsinki\n',
        [("1", "", "columns"), ("2", "", "quote")],
    ),
    "unclosed quote in a large file": (
        HEADER + 'S-2,"Shop,60.1,24.9,Europe/Helsinki\n' + GOOD * 400_000,
        [("1", "", "quote")],
    ),
    "quote in the header": ('code,"name,lat,lng,zone\n' + GOOD, [("", "", "header")]),
    "NUL": (HEADER + GOOD + GOOD.replace("S-1,Shop", "S-2,Sh\0p"), [("2", "name", "cell")]),
    "200 KB field": (HEADER + GOOD.replace("Shop", "x" * 200_000), [("1", "name", "cell")]),
    "100,000 columns": (",".join(f"c{n}" for n in range(100_000)) + "\n1\n", [("", "", "header")]),
    "201 columns": (",".join("c" for _ in range(201)) + "\n1\n", [("", "", "header")]),
    "UTF-16": ((HEADER + GOOD).encode("utf-16"), [("", "", "encoding")]),
    "UTF-16 without a mark": ((HEADER + GOOD).encode("utf-16-le"), [("", "", "encoding")]),
    "cp1252": ((HEADER + GOOD.replace("Shop", "Söder")).encode("cp1252"), [("1", "name", "encoding")]),
    "cp1252 in the header": (("näme," + HEADER).encode("cp1252"), [("", "", "encoding")]),
    "decimal comma": (HEADER + GOOD.replace("60.1", '"60,1"'), [("1", "lat", "type")]),
    "not a number": (HEADER + GOOD.replace("60.1", "nan"), [("1", "lat", "range")]),
    "infinite": (HEADER + GOOD.replace("60.1", "inf"), [("1", "lat", "range")]),
    "1e999": (HEADER + GOOD.replace("60.1", "1e999"), [("1", "lat", "range")]),
    "null island": (HEADER + GOOD.replace("60.1", "0").replace("24.9", "0"), [("1", "lat", "null_island")]),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100, [("", "", "encoding")]),
}


@pytest.mark.parametrize("name", TABLES)
async def test_tables(world: World, name: str) -> None:
    body, expected = TABLES[name]
    found = await faults(world, "stores", body)
    assert [one for one in found if one[2] != "repeated"] == expected
    assert await faults(world, "stores", body, gzip=True, dry_run=True) == found


DOCUMENTS: dict[str, tuple[str | bytes, list[tuple[str, str, str]]]] = {
    "no rows": ('{"stores": []}', [("", "", "no_rows")]),
    "another member": ('{"shops": [{}]}', [("", "", "malformed_json")]),
    "a number": ("17", [("", "", "malformed_json")]),
    "an object for an array": ('{"stores": {}}', [("", "", "malformed_json")]),
    "NaN": ('[{"code": NaN}]', [("1", "", "malformed_json")]),
    "Infinity": ('[{"lat": Infinity}]', [("1", "", "malformed_json")]),
    "1e999": ('[{"lat": 1e999}]', [("1", "lat", "range")]),
    "5,000 digits": ('[{"lat": %s}]' % ("9" * 5_000), [("1", "lat", "range")]),
    "breaks off": ('{"stores": [{"code": "x"', [("1", "", "malformed_json")]),
    "breaks off in a string": ('{"stores": [{"code": "x', [("1", "", "malformed_json")]),
    "trailing garbage": ('[{"code": "x"}] more', [("", "", "malformed_json")]),
    "trailing comma": ('[{"code": "x"},]', [("2", "", "malformed_json")]),
    "closing too much": ('{"stores": [{"code": "x"}]]', [("", "", "malformed_json")]),
    "a repeated member around the rows": ('{"a": 1, "a": 2, "stores": [{"code": "x"}]}', [("", "", "malformed_json")]),
    "depth 100,000": ("[" * 100_000 + "]" * 100_000, [("1", "", "type")]),
    "an array for an object": ("[[1]]", [("1", "", "type")]),
    "invalid UTF-8": (b'[{"code": "\xff"}]', [("1", "", "malformed_json")]),
    "UTF-16": ('[{"code": "x"}]'.encode("utf-16"), [("", "", "malformed_json")]),
    "a lone surrogate": ('[{"code": "\\ud800"}]', [("1", "", "malformed_json")]),
    "a 10 MB string": ('[{"code": "%s"}]' % ("x" * 10_000_000), [("1", "", "too_large")]),
    "too much before": ('{"a": "%s", "stores": []}' % ("x" * 100_000), [("", "", "malformed_json")]),
    "too much behind": ('{"stores": [{}], "a": "%s"}' % ("x" * 100_000), [("", "", "malformed_json")]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_documents(world: World, name: str) -> None:
    body, expected = DOCUMENTS[name]
    found = await faults(world, "stores", body, "json")
    kinds = [one for one in found if one[2] not in ("missing",)]
    assert kinds == expected, found


ROWS: dict[str, tuple[Any, str, str]] = {
    "unknown field": ({"budget_spent": 1}, "budget_spent", "unknown_field"),
    "another retailer": ({"retailer_id": 2}, "retailer_id", "unknown_field"),
    "true for 1": ({"lat": True}, "lat", "type"),
    '"1" for 1': ({"lat": "1"}, "lat", "type"),
    "2^63": ({"lat": 2**63}, "lat", "range"),
    "swapped": ({"lat": 124.9, "lng": 60.1}, "lat", "range"),
    "NUL": ({"name": "a\0b"}, "", "nul"),
    "a line in a code": ({"code": "a\nb"}, "code", "pattern"),
    "null": ({"name": None}, "name", "type"),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("format_", ["json", "ndjson"])
async def test_rows_of_documents(world: World, name: str, format_: str) -> None:
    change, column, code = ROWS[name]
    rows = [a_store(), a_store() | change, a_store()]
    body = json.dumps(rows) if format_ == "json" else "\n".join(map(json.dumps, rows))
    assert await faults(world, "stores", body, format_) == [("2", column, code)]


async def test_a_repeated_name_in_a_row(world: World) -> None:
    row = json.dumps(a_store())
    body = f"{row}\n" + row[:-1] + ', "code": "other"}'
    assert ("2", "", "malformed_json") in await faults(world, "stores", body, "ndjson")


async def test_a_byte_order_mark_is_read_over(world: World) -> None:
    row = json.dumps(a_store())
    assert (await done(world, "stores", b"\xef\xbb\xbf" + row.encode(), "ndjson"))["created"] == 1
    assert (await done(world, "stores", b"\xef\xbb\xbf[" + row.encode() + b"]", "json"))["unchanged"] == 1


def square(west: float, south: float, size: float = 0.01) -> list[list[float]]:
    east, north = west + size, south + size
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


HERE = square(24.9, 60.1)
GEOMETRIES: dict[str, Any] = {
    "unclosed ring": {"type": "Polygon", "coordinates": [HERE[:-1]]},
    "two vertices": {"type": "Polygon", "coordinates": [[HERE[0], HERE[1], HERE[0]]]},
    "all vertices the same": {"type": "Polygon", "coordinates": [[HERE[0]] * 4]},
    "bow-tie": {"type": "Polygon", "coordinates": [[HERE[0], HERE[2], HERE[1], HERE[3], HERE[0]]]},
    "hole outside its shell": {"type": "Polygon", "coordinates": [HERE, square(30, 60.1)]},
    "the whole world": {
        "type": "Polygon",
        "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]],
    },
    "nested collections": {
        "type": "GeometryCollection",
        "geometries": [{"type": "GeometryCollection", "geometries": []}],
    },
    "coordinates as strings": {"type": "Polygon", "coordinates": [[[str(x), str(y)] for x, y in HERE]]},
    "no coordinates": {"type": "Polygon"},
    "a line": {"type": "LineString", "coordinates": HERE},
    "latitude 91": {"type": "Polygon", "coordinates": [square(24.9, 90.995)]},
    "not finite": {"type": "Polygon", "coordinates": [[[1e308, 60], *HERE[1:]]]},
    "a crs of its own": {
        "type": "Polygon",
        "coordinates": [HERE],
        "crs": {"type": "name", "properties": {"name": "x"}},
    },
}


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(*features: Any, **more: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features} | more)


@pytest.mark.parametrize("name", GEOMETRIES)
async def test_areas_that_cannot_be_drawn(world: World, name: str) -> None:
    store = (await world.store())["code"]
    areas = [feature({"type": "Polygon", "coordinates": [HERE]}, code=fresh("area"), store=store)]
    areas.append(feature(GEOMETRIES[name], code=fresh("area"), store=store))
    assert await faults(world, "areas", collection(*areas), "geojson") == [("2", "geometry", "geometry")]


DRAWN: dict[str, Any] = {
    "antimeridian": {"type": "MultiPolygon", "coordinates": [[square(179.99, 60.1)], [square(-180, 60.1)]]},
    "wrong winding": {"type": "Polygon", "coordinates": [HERE[::-1]]},
    "3-D coordinates": {"type": "Polygon", "coordinates": [[[x, y, 12.0] for x, y in HERE]]},
    "a sliver with no cell": {"type": "Polygon", "coordinates": [square(24.9, 60.1, 0.0000005)]},
}


@pytest.mark.parametrize("name", DRAWN)
async def test_areas_that_look_odd_and_can_be_drawn(world: World, name: str) -> None:
    store = (await world.store())["code"]
    one = feature(DRAWN[name], code=fresh("area"), store=store)
    upload = await ended(world, "areas", collection(one), "geojson")
    told = await rejected(world, upload) if upload["state"] == "rejected" else []
    assert upload["state"] == "done" or [row["code"] for row in told] == ["geometry"], told


async def test_a_million_vertices_and_100_000_tiny_polygons(world: World) -> None:
    store = (await world.store())["code"]
    ring = [[24.0 + n / 2e6, 60.0 + (n % 7) / 1e6] for n in range(1_000_000)]
    large = feature({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, code=fresh("area"), store=store)
    assert [one[2] for one in await faults(world, "areas", collection(large), "geojson")] == ["too_large"]
    tiny = [[square(23.0 + n % 400 * 1e-3, 59.0 + n // 400 * 1e-3, 1e-5)] for n in range(100_000)]
    many = feature({"type": "MultiPolygon", "coordinates": tiny}, code=fresh("area"), store=store)
    assert [one[2] for one in await faults(world, "areas", collection(many), "geojson")] == ["too_large"]
    few = feature({"type": "MultiPolygon", "coordinates": tiny[:20_000]}, code=fresh("area"), store=store)
    upload = await ended(world, "areas", collection(few), "geojson")
    assert upload["state"] in ("done", "rejected")


@pytest.mark.slow
async def test_100_000_tiny_polygons_are_100_000_areas(world: World) -> None:
    """As features of their own: all of them, or all of their faults."""
    store, mark = (await world.store())["code"], fresh("tiny")
    rings = (square(23.0 + n % 400 * 1e-3, 59.0 + n // 400 * 1e-3, 1e-4 if n % 1_000 else 1e-5) for n in range(100_000))
    tiny = [
        feature({"type": "Polygon", "coordinates": [ring]}, code=f"{mark}-{n}", store=store)
        for n, ring in enumerate(rings)
    ]
    found = await faults(world, "areas", collection(*tiny), "geojson")
    assert len(found) == 100 and {one[2] for one in found} == {"geometry"}, "a hundred of them are next to nothing"
    good = [one for n, one in enumerate(tiny) if n % 1_000]
    assert (await done(world, "areas", collection(*good), "geojson"))["created"] == len(good)


async def test_more_faults_than_the_file_lists_are_counted_in_it(world: World) -> None:
    rows = MOST_KEPT // 2 + 40
    wrong = "".join(f"S-{n},Shop,91,181,Europe/Helsinki\n" for n in range(rows))
    upload = await ended(world, "stores", HEADER + wrong)
    assert (upload["rows"], upload["rejected"]) == (rows, rows)
    assert (upload["faults_found"], upload["faults_listed"]) == (2 * rows, MOST_KEPT)
    told = await rejected(world, upload)
    assert len(told) == MOST_KEPT + 1 and told[-2]["row"] == str(MOST_KEPT // 2)
    assert (told[-1]["row"], told[-1]["code"]) == ("", "more_faults") and "80 more faults" in told[-1]["detail"]


QUOTED = {
    "a line end within quotes": HEADER + 'Q-1,"Sh\nop",60.1,24.9,Europe/Helsinki\n',
    "a quote within a cell": HEADER + 'Q-1,5" pipes,60.1,24.9,Europe/Helsinki\n',
    "doubled quotes": HEADER + 'Q-1,"5"" pipes",60.1,24.9,Europe/Helsinki',
    "a last cell that is quoted": HEADER + 'Q-1,Shop,60.1,24.9,"Europe/Helsinki"',
}


@pytest.mark.parametrize("name", QUOTED)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
async def test_quotes_that_are_closed_are_no_fault(world: World, name: str, end: str) -> None:
    assert (await done(world, "stores", QUOTED[name].strip() + end, dry_run=True))["created"] == 1


async def test_a_collection_on_another_ellipsoid(world: World) -> None:
    point = feature({"type": "Point", "coordinates": [24.9, 60.1]}, code=fresh("s"), name="a", zone="UTC")
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3067"}}
    assert await faults(world, "stores", collection(point, crs=crs), "geojson") == [("", "crs", "geojson")]
    crs["properties"] = {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}
    assert (await done(world, "stores", collection(point, crs=crs), "geojson"))["created"] == 1


async def test_features_that_are_none(world: World) -> None:
    bad = [
        {"type": "Feature", "geometry": None, "properties": {}},
        {"type": "Point", "coordinates": [1, 2]},
        feature({"type": "Point", "coordinates": ["1", "2"]}, code="a", name="a", zone="UTC"),
        feature({"type": "Point", "coordinates": [24.9]}, code="a", name="a", zone="UTC"),
        feature({"type": "Point", "coordinates": [24.9, 60.1]}, code="a", name="a", zone="UTC", retailer_id=2),
        feature({"type": "Polygon", "coordinates": [HERE]}, code="a", name="a", zone="UTC"),
    ]
    found = await faults(world, "stores", collection(*bad), "geojson")
    assert {row for row, _, _ in found} == {"1", "2", "3", "4", "5", "6"}


PRICES: dict[str, tuple[str, str]] = {
    "19,99 EUR": ("price", "value"),
    "19.99": ("price", "value"),
    "19.99 USD": ("price", "value"),
    "-1.00 EUR": ("price", "value"),
    "19.999 EUR": ("price", "value"),
    "1e3 EUR": ("price", "value"),
    "EUR": ("price", "value"),
    "": ("price", "value"),
    "99999999999999 EUR": ("price", "value"),
    "٣ EUR": ("price", "value"),
}


@pytest.mark.parametrize("price", PRICES)
async def test_prices_that_are_none(world: World, price: str) -> None:
    product = await a_stored_product(world)
    body = f"id\tprice\n{product}\t{price}\n"
    assert await faults(world, "prices", body, "tsv") == [("1", *PRICES[price])]


async def a_stored_product(world: World) -> str:
    product: str = a_product()["code"]
    await done(world, "products", f"code,name\n{product},Thing\n")
    return product


async def test_all_that_is_wrong_with_inventory_rows(world: World) -> None:
    product, store = await a_stored_product(world), (await world.store())["code"]
    header = "store_code,id,price,sale_price,sale_price_effective_date,availability,quantity,pickup_method,pickup_sla\n"
    dates = "2026-02-01T00:00Z/2026-01-01T00:00Z"
    rows = [
        f"nowhere,{product},1 EUR,,,,,,",
        f"{store},nothing,1 EUR,,,,,,",
        f"{store},{product},1 EUR,2 EUR,,,,,",
        f"{store},{product},2 EUR,,2026-01-01T00:00Z/2026-02-01T00:00Z,,,,",
        f"{store},{product},2 EUR,1 EUR,{dates},,,,",
        f"{store},{product},2 EUR,1 EUR,yesterday,,,,",
        f"{store},{product},2 EUR,1 EUR,2026-01-01T00:00/2026-02-01T00:00,,,,",
        f"{store},{product},2 EUR,,,maybe,,,",
        f"{store},{product},2 EUR,,,,-1,,",
        f"{store},{product},2 EUR,,,,1.5,,",
        f"{store},{product},2 EUR,,,,1e9,,",
        f"{store},{product},2 EUR,,,,,teleport,",
        f"{store},{product},2 EUR,,,,,,never",
    ]
    found = await faults(world, "prices", header + "\n".join(rows))
    columns = ["store", "product", "sale_price", "sale_price", *["sale_price_effective_date"] * 3, "availability",
               "quantity", "quantity", "quantity", "pickup_method", "pickup_sla"]  # fmt: skip
    assert [(row, column) for row, column, _ in found] == [(str(n), c) for n, c in enumerate(columns, 1)]


async def test_campaigns_that_cannot_be(world: World) -> None:
    store = (await world.store())["code"]
    good = a_campaign([store])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ends_at": now(-7200)}, "ends_at"),
        ({"budget_coupons": -1}, "budget_coupons"),
        ({"stores": ["no such"]}, "stores[0]"),
        ({"tags": ["no such"]}, "tags[0]"),
        ({"schedule": {"recurrences": [{"rrule": "FREQ=DAILY;INTERVAL=0", "start": now()[:16], "duration_s": 60}]}},
         "schedule.recurrences[0].rrule"),
        ({"starts_at": "2026-01-01T00:00:00"}, "starts_at"),
        ({"offer": {"kind": "percent_off", "percent": 101, "valid_for_s": 60}}, "offer.percent"),
        ({"name": "a\u0007b"}, "name"),
    ]  # fmt: skip
    rows = [good | {"code": fresh("c")} | change for change, _ in wrong]
    found = await faults(world, "campaigns", "\n".join(map(json.dumps, rows)), "ndjson", activate=True)
    assert [(row, column) for row, column, _ in found] == [(str(n), c) for n, (_, c) in enumerate(wrong, 1)]


async def test_formulas_are_stored_verbatim_and_harmless_in_the_file(world: World) -> None:
    code, text = fresh("s"), '=HYPERLINK("http://x";"y")'
    quoted = text.replace('"', '""')
    assert (await done(world, "stores", HEADER + f'{code},"{quoted}",60.1,24.9,Europe/Helsinki\n'))["created"] == 1
    assert (await world.good("GET", f"/v1/stores/{code}", "retailer"))["name"] == text
    upload = await ended(world, "stores", f"=cmd|x,{HEADER}")
    assert (await rejected(world, upload))[0]["column"].startswith("'=")
    assert [harmless(cell) for cell in ("=1", "+1", "-1", "@x", "\tx", "x=1", None)] == [
        "'=1", "'+1", "'-1", "'@x", "'\tx", "x=1", ""
    ]  # fmt: skip


async def test_gzips_that_are_none(world: World) -> None:
    packed = gzip.compress((HEADER + GOOD * 1000).encode())
    for body in (b"no gzip", packed[: len(packed) // 2], packed[:40] + b"\0" * 40 + packed[80:], packed[:-4]):
        found = await faults(world, "stores", body, headers={"Content-Encoding": "gzip"})
        assert "gzip" in [code for _, _, code in found], body[:20]
    two = gzip.compress(HEADER.encode()) + gzip.compress(GOOD.replace("S-1", fresh("s")).encode())
    assert (await done(world, "stores", two, headers={"Content-Encoding": "gzip"}))["created"] == 1


async def test_a_gzip_bomb_is_one_row_too_long(world: World) -> None:
    """200 MB of one letter in 194 KB: read up to the longest row, a few megabytes at a time."""
    bomb = gzip.compress(HEADER.encode() + b"x" * 200_000_000, 9)
    assert len(bomb) < 200_000
    assert [code for _, _, code in await faults(world, "stores", bomb, headers={"Content-Encoding": "gzip"})] == [
        "quote"
    ]


async def test_what_is_unpacked_at_once_is_bounded() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b"\0" * 300_000_000) + packer.flush()
    body = Body(lambda number: bomb if number == 0 else None, gzip=True)
    pieces = 0
    while piece := body.read():
        assert len(piece) <= 1 << 20
        pieces += 1
    assert pieces >= 280
    with pytest.raises(Unreadable):
        Body(lambda number: b"x" if number == 0 else None, gzip=True).read()


async def test_heads_that_no_upload_has(world: World) -> None:
    before = await world.count()
    for headers, query, status in (
        ({"Content-Type": "text/plain"}, "kind=stores", 415),
        ({}, "kind=stores", 415),
        ({"Content-Type": "text/csv; charset=latin-1"}, "kind=stores", 415),
        ({"Content-Type": "text/csv", "Content-Encoding": "br"}, "kind=stores", 415),
        ({"Content-Type": "text/csv", "Content-Length": "-1"}, "kind=stores", 400),
        ({"Content-Type": "text/csv", "Content-Length": "9" * 17}, "kind=stores", 413),
        ({"Content-Type": "text/csv"}, "", 422),
        ({"Content-Type": "text/csv"}, "kind=everything", 422),
        ({"Content-Type": "text/csv"}, "kind=stores&kind=products", 400),
        ({"Content-Type": "text/csv"}, "kind=stores&replace=perhaps", 422),
        ({"Content-Type": "text/csv"}, "kind=stores&activate=true", 422),
        ({"Content-Type": "text/csv"}, "kind=areas", 422),
        ({"Content-Type": "application/geo+json"}, "kind=prices", 422),
        ({"Content-Type": "text/csv", "Idempotency-Key": "a b"}, "kind=stores", 400),
    ):
        answer = await world.ask("POST", f"/v1/uploads?{query}", "retailer", content=b"x", headers=headers)
        is_problem(answer, status)
    is_problem(await send(world, "stores", b""), 400)
    is_problem(await send(world, "stores", b"x", who="admin"), 422)
    is_problem(await send(world, "stores", b"x", who="admin", retailer=999_999), 404)
    is_problem(await send(world, "stores", b"x", who="app"), 403)
    for path in ("/v1/uploads/7", "/v1/uploads/" + "9" * 5_000, "/v1/uploads/%00"):
        assert (await world.ask("GET", path, "retailer")).status_code in (404, 414)
    assert await world.count() == before


async def test_a_body_that_breaks_off_leaves_nothing(world: World) -> None:
    before = await world.count()

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError

    headers = {"Content-Type": MEDIA_OF["csv"]}
    answer = await world.ask("POST", "/v1/uploads?kind=stores", "retailer", content=broken(), headers=headers)
    assert answer.status_code == 503  # nobody is there to read it
    assert await world.count() == before


async def test_too_many_that_wait_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.http.intake.MOST_WAITING", 2)
    answers = [await send(world, "stores", HEADER + GOOD) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert "retry-after" in answers[-1].headers
    await load(world)
    assert (await send(world, "stores", HEADER + GOOD)).status_code == 202
    await load(world)
