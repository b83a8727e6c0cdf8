"""Uploads: what a retailer has already is taken as it is, all of it or nothing, and the second time changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.http_bodies import a_campaign, a_product, a_store, fresh, is_problem, keyed
from tests.contract.http_world import World
from tests.contract.upload_rig import done, ended, faults, load, rejected, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORES = "store_code,store name,latitude,longitude,timezone,city,tags,opening_hours\n"


def a_table(prefix: str, rows: int, city: str = "Helsinki") -> str:
    lines = [
        f'{prefix}-{n},"Shop, number {n}",60.{n + 1:04},24.9,Europe/Helsinki,{city},mall;24h,24/7' for n in range(rows)
    ]
    return STORES + "\n".join(lines) + "\n"


async def test_stores_as_a_table(world: World) -> None:
    prefix = fresh("s")
    assert await done(world, "stores", a_table(prefix, 5)) == {"created": 5, "updated": 0, "unchanged": 0, "ended": 0}
    assert await done(world, "stores", a_table(prefix, 5), gzip=True) == {
        "created": 0, "updated": 0, "unchanged": 5, "ended": 0
    }  # fmt: skip
    store = await world.good("GET", f"/v1/stores/{prefix}-3", "retailer")
    assert (store["name"], store["city"], store["tags"]) == ("Shop, number 3", "Helsinki", ["mall", "24h"])
    changed = a_table(prefix, 4, city="Espoo")
    told = await ended(world, "stores", changed, dry_run=True, replace=True)
    assert told["state"] == "done" and told["difference"]["updated"] == 4
    assert (await world.good("GET", f"/v1/stores/{prefix}-3", "retailer"))["city"] == "Helsinki"
    difference = await done(world, "stores", changed, replace=True)
    assert difference == told["difference"]
    assert difference["updated"] == 4 and difference["ended"] >= 1
    assert (await world.good("GET", f"/v1/stores/{prefix}-4", "retailer"))["closed"] is True


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_a_table_as_spreadsheets_write_it(world: World, mark: str, ending: str) -> None:
    code = fresh("s")
    header, row = ["code", "name", "lat", "lng", "zone"], [code, "Söder", "60.1", "24.9", "Europe/Helsinki"]
    text = "\ufeff" + mark.join(header) + ending + mark.join(row)
    assert (await done(world, "stores", text, "tsv" if mark == "\t" else "csv"))["created"] == 1
    assert (await world.good("GET", f"/v1/stores/{code}", "retailer"))["name"] == "Söder"


async def test_documents_of_any_kind(world: World) -> None:
    stores = [a_store() for _ in range(3)]
    lines = "\n".join(json.dumps(store) for store in stores)
    assert (await done(world, "stores", json.dumps({"stores": stores}), "json"))["created"] == 3
    assert (await done(world, "stores", json.dumps(stores), "json"))["unchanged"] == 3
    assert (await done(world, "stores", lines, "ndjson", gzip=True))["unchanged"] == 3
    products = [a_product(gtin="12345678") for _ in range(3)]
    assert (await done(world, "products", json.dumps({"products": products}, indent=2), "json"))["created"] == 3
    table = "id\ttitle\tgtin\tbrand\tproduct_type\n" + "\n".join(
        f"{p['code']}\t{p['name']}\t{p['gtin']}\t{p['brand']}\t{p['category']}" for p in products
    )
    assert (await done(world, "products", table, "tsv"))["unchanged"] == 3


async def test_geojson_stores_and_areas(world: World) -> None:
    code, area = fresh("s"), fresh("area")
    point = {"type": "Point", "coordinates": [24.94, 60.17]}
    ring = [[24.93, 60.16], [24.95, 60.16], [24.95, 60.18], [24.93, 60.18], [24.93, 60.16]]
    stores = [a_feature(point, code=code, name="Kiosk", zone="Europe/Helsinki")]
    collection = {"type": "FeatureCollection", "name": "from a map", "features": stores}
    assert (await done(world, "stores", json.dumps(collection), "geojson"))["created"] == 1
    drawn = a_feature({"type": "Polygon", "coordinates": [ring]}, code=area, store=code, name="the square")
    collection = {"type": "FeatureCollection", "features": [drawn]}
    assert (await done(world, "areas", json.dumps(collection), "geojson"))["created"] == 1
    assert (await done(world, "areas", json.dumps(collection), "geojson"))["unchanged"] == 1
    campaign = a_campaign([]) | {"drawn": [area]}
    assert (await world.ask("POST", "/v1/campaigns/validate", "retailer", campaign)).json()["valid"]
    campaign["drawn"] = ["no such"]
    answer = await world.ask("POST", "/v1/campaigns/validate", "retailer", campaign)
    assert [e["code"] for e in answer.json()["errors"]] == ["unknown_area"]


def a_feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


INVENTORY = (
    "store_code\tid\tprice\tsale price\tsale_price_effective_date\tavailability\tquantity\tpickup_method\tpickup_sla\n"
)


async def test_google_local_inventory_as_it_is(world: World) -> None:
    store, product = (await world.store())["code"], a_product()["code"]
    await done(world, "products", f"code,name\n{product},Wii game\n")
    dates = "2026-01-01T08:00+02:00/2027-01-01T08:00+02:00"
    row = f"{store}\t{product}\t19.99 EUR\t15.00 EUR\t{dates}\tin_stock\t7\tbuy\tsame_day\n"
    everywhere = f"\t{product}\t21 EUR\t\t\tlimited availability\t\t\t\n"
    assert (await done(world, "prices", INVENTORY + row + everywhere, "tsv"))["created"] == 2
    assert (await done(world, "prices", INVENTORY + row + everywhere, "tsv"))["unchanged"] == 2
    found = await world.database.fetchrow(
        """SELECT price_minor, sale_price_minor, sale_from, quantity, availability, pickup_method, pickup_sla
           FROM price p JOIN product d ON d.id = p.product WHERE d.code = $1 AND p.store IS NOT NULL""", product
    )  # fmt: skip
    assert tuple(found)[:2] == (1999, 1500) and found["sale_from"].isoformat() == "2026-01-01T06:00:00+00:00"
    assert tuple(found)[3:] == (7, "in_stock", "buy", "same_day")
    lines = json.dumps(
        {"product": product, "price_minor": 2100, "currency": "EUR", "availability": "limited_availability"}
    )
    assert (await done(world, "prices", lines, "ndjson"))["unchanged"] == 1
    changed = (INVENTORY + row).replace("19.99", "18.99")
    assert (await ended(world, "prices", changed, "tsv", dry_run=True, replace=True))["difference"] == {
        "created": 0, "updated": 1, "unchanged": 0, "ended": 1
    }  # fmt: skip
    assert (await done(world, "prices", changed, "tsv", replace=True))["ended"] == 1


PROMOTIONS = (
    "promotion_id,product_applicability,offer_type,long_title,promotion_effective_dates,redemption_channel,"
    "coupon_value_type,percent_off,money_off_amount,minimum_purchase_amount,store_code,trigger,radius_m,dwell_s,"
    "daily_cap,budget,priority,quiet_hours,tag,city,rrule\n"
)
DATES = "2026-01-01T00:00+02:00/2036-01-01T00:00+02:00"


async def test_google_promotions_as_they_are(world: World) -> None:
    store = await world.store(tags=["mall"], city="Helsinki")
    code = fresh("promo")
    first = (
        f"{code},all_products,no_code,15 % off,{DATES},in_store,percent_off,15,,,{store['code']},enter,50,,2,100,,,,,"
    )
    second = (
        f"{code}-2,,,Five off,{DATES},in_store,money_off,,5.00 EUR,20.00 EUR,,dwell,80,60,,10,3,22:00-07:00,mall,helsinki,"  # noqa: E501
        "FREQ=MONTHLY;BYDAY=1SA DURATION=7200"
    )
    difference = await done(world, "campaigns", PROMOTIONS + first + "\n" + second + "\n", activate=True)
    assert difference["created"] == 2
    page = await world.good("GET", "/v1/campaigns?limit=1000", "retailer")
    mine = {one["code"]: one for one in page["campaigns"] if one["code"].startswith(code)}
    assert {one["state"] for one in mine.values()} == {"live"}
    spec = (await world.good("GET", f"/v1/campaigns/{mine[code + '-2']['id']}", "retailer"))["campaign"]
    assert (spec["offer"]["amount_minor"], spec["offer"]["minimum_purchase_minor"]) == (500, 2000)
    assert (
        spec["schedule"]["weekly"][0]["start"] == "07:00" and spec["schedule"]["recurrences"][0]["duration_s"] == 7200
    )
    again = await done(world, "campaigns", PROMOTIONS + first + "\n" + second + "\n", activate=True)
    assert again["unchanged"] == 2
    dearer = first.replace("percent_off,15", "percent_off,20")
    assert (await done(world, "campaigns", PROMOTIONS + dearer + "\n", replace=True))["updated"] == 1
    state = (await world.good("GET", f"/v1/campaigns/{mine[code + '-2']['id']}", "retailer"))["state"]
    assert state == "ended"


async def test_every_problem_at_once_with_row_and_column(world: World) -> None:
    prefix = fresh("s")
    lines = a_table(prefix, 200).splitlines()
    lines[4] = lines[4].replace("24.9,", '"24,9",')
    lines[9] = lines[9].replace("Europe/Helsinki", "Mars/Olympus")
    lines[150] += ",more"
    lines[199] = lines[199].replace("60.", "960.")
    lines[200] = lines[1]
    found = await faults(world, "stores", "\n".join(lines))
    assert found == [
        ("4", "lng", "type"),
        ("9", "zone", "value"),
        ("150", "", "columns"),
        ("199", "lat", "range"),
        ("200", "code", "repeated"),
    ]


async def test_row_999_999_of_a_million_is_the_wrong_one(world: World) -> None:
    product = a_product()["code"]
    await done(world, "products", f"code,name\n{product},x\n")
    stores = [(await world.store())["code"]]
    good = f"{stores[0]}\t{product}\t1.00 EUR\n"
    text = "store_code\tid\tprice\n" + good * 999_998 + good.replace("1.00", "1,00") + good
    answer = await ended(world, "prices", text, "tsv", gzip=True)
    found = await rejected(world, answer)
    assert answer["rows"] == 1_000_000 and answer["rejected"] == 999_999
    assert [f for f in found if f["code"] == "value"] == [
        {"row": "999999", "column": "price", "code": "value",
         "detail": "write the amount in digits, with a point before the decimals, such as 19.99 EUR"}
    ]  # fmt: skip


async def test_the_same_call_twice_is_one_upload(world: World) -> None:
    key, table = keyed(), a_table(fresh("s"), 3)
    first = await send(world, "stores", table, headers=key["headers"])
    again = await send(world, "stores", table, headers=key["headers"])
    assert first.content == again.content and again.headers["idempotent-replayed"] == "true"
    other = await send(world, "stores", table + table.splitlines()[1] + "x", headers=key["headers"])
    is_problem(other, 422, "idempotency_key_reused")
    await load(world)
    assert (await world.good("GET", f"/v1/uploads/{first.json()['id']}", "retailer"))["difference"]["created"] == 3


async def test_a_neighbour_sees_nothing_of_an_upload(world: World) -> None:
    upload = await ended(world, "stores", STORES + "x\n")
    for path in (f"/v1/uploads/{upload['id']}", f"/v1/uploads/{upload['id']}/rejected"):
        is_problem(await world.ask("GET", path, "neighbour"), 404)
    listed = (await world.good("GET", "/v1/uploads", "neighbour"))["uploads"]
    assert upload["id"] not in [one["id"] for one in listed]
