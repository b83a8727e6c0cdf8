"""The happy path of every route."""

from __future__ import annotations

import asyncpg
import pytest

from engine.http.table import ROUTES
from tests.contract.http_bodies import (
    a_campaign,
    a_ping,
    a_product,
    a_purchase,
    a_redemption,
    a_store,
    fresh,
    is_problem,
    keyed,
    now,
)
from tests.contract.http_world import World, put_into_inbox
from tests.contract.upload_rig import ended, rejected

OULU = (65.0121, 25.4651)  # no other test's stores stand here

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_ping_is_appended(world: World) -> None:
    customer = await world.customer()
    before = await world.count()
    answer = await world.ask("POST", "/v1/pings", "app", a_ping(customer))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "refused": []})
    after = await world.count()
    assert {name for name in after if after[name] != before[name]} == {f"log:{{{await world.number(customer) % 16}}}"}


async def test_a_batch_of_pings_tells_row_by_row(world: World) -> None:
    good, silent = await world.customer(), await world.customer(location=False)
    pings = [
        a_ping(good),
        a_ping("nobody"),
        a_ping(silent),
        a_ping(good, lat=0.0, lng=0.0),
        a_ping(good, accuracy_m=-1.0),
        a_ping(good, accuracy_m=5000.5),
        a_ping(good, at=now(-3700)),
        a_ping(good, at=now(90)),
        a_ping(good, at="0001-01-01T00:00:00+14:00"),
        a_ping(good, at="9999-12-31T23:59:59-14:00"),
        a_ping(good, accuracy_m=None, at=now(-3500)),
    ]
    answer = await world.ask("POST", "/v1/pings", "app", {"pings": pings})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    assert [(r["row"], r["code"]) for r in answer.json()["refused"]] == [
        (2, "unknown_customer"),
        (3, "no_consent"),
        (4, "null_island"),
        (5, "bad_accuracy"),
        (6, "bad_accuracy"),
        (7, "too_old"),
        (8, "in_future"),
        (9, "too_old"),
        (10, "in_future"),
    ]


async def test_a_phone_reports_for_itself_only(world: World) -> None:
    mine, other = await world.customer(), await world.customer()
    token = await world.token(mine)
    await world.good("POST", "/v1/pings", token, a_ping(mine))
    for somebody in (other, "nobody"):
        is_problem(await world.ask("POST", "/v1/pings", token, a_ping(somebody)), 403, "not_yours")


async def test_retailers_and_keys(world: World) -> None:
    name = fresh("chain")
    made = await world.good("POST", "/v1/retailers", "admin", {"name": name, "currency": "SEK"})
    listed = await world.good("GET", "/v1/retailers?limit=1000", "admin")
    assert made in listed["retailers"]
    body = {"scope": "till", "retailer": made["id"], "name": "front"}
    key = await world.good("POST", "/v1/keys", "admin", body)
    assert key["key"].startswith(key["prefix"] + "_") and len(key["key"].split("_", 3)[3]) == 49
    shown = next(k for k in (await world.good("GET", "/v1/keys", "admin"))["keys"] if k["id"] == key["id"])
    assert shown["revoked_at"] is None and "key" not in shown
    is_problem(await world.ask("POST", "/v1/redemptions", key["key"], a_redemption("0" * 16)), 400)
    successor = await world.good("POST", f"/v1/keys/{key['id']}/rotate", "admin", {"grace_s": 60})
    assert successor["key"] != key["key"] and successor["id"] != key["id"]
    assert (await world.ask("DELETE", f"/v1/keys/{key['id']}", "admin")).status_code == 204
    is_problem(await world.ask("POST", "/v1/redemptions", key["key"], a_redemption("0" * 16)), 401)


async def test_lists_go_on_by_their_next_link(world: World) -> None:
    for _ in range(3):
        await world.store("neighbour")
    seen, link = [], "/v1/stores?limit=2"
    while link:
        page = await world.good("GET", link, "neighbour")
        seen += [store["id"] for store in page["stores"]]
        link = page["next"]
    assert len(seen) >= 3 and seen == sorted(set(seen))


async def test_stores_are_replaced_by_code(world: World) -> None:
    first, second = a_store(), a_store(name="Second")
    made = await world.good("POST", "/v1/stores", "retailer", {"stores": [first, second]})
    assert (made["created"], made["updated"]) == (2, 0)
    again = await world.good("POST", "/v1/stores", "retailer", {"stores": [first | {"name": "Renamed"}]})
    assert (again["created"], again["updated"]) == (0, 1)
    stored = await world.good("GET", f"/v1/stores/{first['code']}", "retailer")
    more = {"name": "Renamed", "address": None, "closed": False, "city": None, "tags": [], "id": again["rows"][0]["id"]}
    assert stored == first | more


async def test_an_admin_acts_for_a_retailer_it_names(world: World) -> None:
    store = await world.store()
    shown = await world.good("GET", f"/v1/stores/{store['code']}?retailer={world.retailer}", "admin")
    assert shown == store
    is_problem(await world.ask("GET", f"/v1/stores/{store['code']}", "admin"), 422)
    is_problem(await world.ask("GET", f"/v1/stores/{store['code']}?retailer=999999", "admin"), 404)


async def test_products_and_prices(world: World) -> None:
    product, store = a_product(), await world.store()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    page = await world.good("GET", "/v1/products?limit=1000", "retailer")
    assert product["code"] in [one["code"] for one in page["products"]]
    everywhere = {"product": product["code"], "price_minor": 900, "currency": "EUR"}
    here = everywhere | {"store": store["code"], "price_minor": 800, "sale_price_minor": 700, "sale_until": now(60)}
    assert await world.good("POST", "/v1/prices", "retailer", {"prices": [everywhere, here]}) == {"prices": 2}
    assert await world.good("POST", "/v1/prices", "retailer", {"prices": [here]}) == {"prices": 1}
    stored = await world.database.fetchval(
        "SELECT count(*) FROM price WHERE product = (SELECT id FROM product WHERE code = $1)", product["code"]
    )
    assert stored == 2


async def test_the_life_of_a_campaign(world: World) -> None:
    store = await world.store()
    body = a_campaign([store["code"]])
    assert await world.good("POST", "/v1/campaigns/validate", "retailer", body) == {"valid": True, "errors": []}
    draft = await world.good("POST", "/v1/campaigns", "retailer", body)
    assert (draft["state"], draft["version"]) == ("draft", 1)
    assert draft["budget"] == {"total": 100, "leased": 0, "spent": 0}
    path = f"/v1/campaigns/{draft['id']}"
    for verb, state in (("activate", "live"), ("pause", "paused"), ("activate", "live"), ("end", "ended")):
        assert (await world.good("POST", f"{path}/{verb}", "retailer"))["state"] == state
    is_problem(await world.ask("POST", f"{path}/activate", "retailer"), 409, "campaign_state")
    shown = await world.good("GET", path, "retailer")
    assert (shown["version"], shown["stopped"]) == (5, False)
    assert shown["campaign"]["offer"]["percent"] == 15
    audit = await world.database.fetch(
        "SELECT verb, caller FROM campaign_audit WHERE campaign = $1 ORDER BY version", draft["id"]
    )
    assert [row["verb"] for row in audit] == ["create", "activate", "pause", "activate", "end"]
    assert all(row["caller"].startswith("key:") for row in audit)
    page = await world.good("GET", "/v1/campaigns?limit=1000", "retailer")
    assert draft["id"] in [one["id"] for one in page["campaigns"]]


async def test_a_campaign_that_starts_later_is_scheduled(world: World) -> None:
    store = await world.store()
    body = a_campaign([store["code"]]) | {"starts_at": now(3600)}
    draft = await world.good("POST", "/v1/campaigns", "retailer", body)
    assert (await world.good("POST", f"/v1/campaigns/{draft['id']}/activate", "retailer"))["state"] == "scheduled"


async def test_a_stop_is_a_fact_of_every_partition(world: World) -> None:
    store = await world.store()
    draft = await world.good("POST", "/v1/campaigns", "retailer", a_campaign([store["code"]]))
    path = f"/v1/campaigns/{draft['id']}"
    is_problem(await world.ask("POST", f"{path}/stop", "retailer"), 409, "campaign_state")
    await world.good("POST", f"{path}/activate", "retailer")
    stopped = await world.good("POST", f"{path}/stop", "retailer")
    assert (stopped["state"], stopped["stopped"]) == ("ended", True)
    facts = await world.database.fetch(
        "SELECT p FROM fact WHERE kind = 'stop' AND (payload ->> 'campaign')::bigint = $1 ORDER BY p", draft["id"]
    )
    assert [row["p"] for row in facts] == list(range(16))


async def test_customers_have_dense_numbers(world: World) -> None:
    one = fresh("customer")
    created = await world.ask("PUT", f"/v1/customers/{one}", "app", {"zone": "Europe/Helsinki"})
    assert created.status_code == 201
    changed = await world.ask("PUT", f"/v1/customers/{one}", "app", {"zone": "Asia/Tokyo"})
    assert (changed.status_code, changed.json()["zone"]) == (200, "Asia/Tokyo")
    assert (await world.good("PUT", f"/v1/customers/{one}", "app", {}))["zone"] == "Asia/Tokyo"
    shown = await world.good("GET", f"/v1/customers/{one}", "app")
    assert shown["id"] == one and not any(shown["consents"].values())
    body = {"customers": [{"id": fresh("bulk")} for _ in range(200)]}
    assert await world.good("POST", "/v1/customers", "app", body) == {"created": 200, "updated": 0}
    assert await world.good("POST", "/v1/customers", "app", body) == {"created": 0, "updated": 200}
    rows = await world.database.fetch(
        "SELECT p, count(*) AS n, max(number / 16) + 1 AS top,"
        " (SELECT next_row FROM customer_counter c WHERE c.p = u.p) FROM customer u GROUP BY p"
    )
    assert rows and all(row["n"] == row["top"] == row["next_row"] for row in rows)
    wrong = "SELECT count(*) FROM customer WHERE number % 16 <> p"
    assert await world.database.fetchval(wrong) == 0


async def test_consents_are_facts_with_a_history(world: World) -> None:
    customer = await world.customer()
    number = await world.number(customer)
    answer = await world.good("PUT", f"/v1/customers/{customer}/consents", "app", {"location": False})
    assert answer["consents"]["location"] is False and answer["consents"]["history"] is True
    is_problem(await world.ask("POST", "/v1/pings", "app", a_ping(customer)), 403, "no_consent")
    await world.good("PUT", f"/v1/customers/{customer}/consents", "app", {"location": False})
    history = await world.database.fetch("SELECT consents FROM consent_change WHERE customer = $1 ORDER BY at", number)
    assert [row["consents"] for row in history] == [63, 62]
    facts = await world.database.fetch(
        "SELECT payload FROM fact WHERE kind = 'consent' AND (payload ->> 'number')::bigint = $1 ORDER BY seq", number
    )
    assert [fact["payload"] for fact in facts] == [{"number": number, "consents": b} for b in (63, 62)]


async def test_a_registration_follows_its_newest_owner(world: World) -> None:
    first, second = await world.customer(), await world.customer()
    device = {"platform": "android", "kind": "token", "registration": fresh("registration")}
    await world.good("PUT", f"/v1/customers/{first}/devices/phone", "app", device)
    await world.good("PUT", f"/v1/customers/{second}/devices/phone", "app", device)
    states = {}
    for one in (first, second):
        shown = await world.good("GET", f"/v1/customers/{one}", "app")
        assert device["registration"] not in str(shown)
        states[one] = [found["state"] for found in shown["devices"]]
    assert states == {first: ["removed"], second: ["active"]}
    assert (await world.ask("DELETE", f"/v1/customers/{second}/devices/phone", "app")).status_code == 204
    is_problem(await world.ask("DELETE", f"/v1/customers/{second}/devices/tablet", "app"), 404)


async def test_purchases_are_stored_once_and_are_facts(world: World) -> None:
    customer, product, store = await world.customer(), a_product(), await world.store()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    purchase = a_purchase(customer, product["code"], store=store["code"])
    for who, query in (("retailer", ""), ("app", f"?retailer={world.retailer}")):
        answer = await world.good("POST", f"/v1/purchases{query}", who, purchase)
        assert answer == {"accepted": 1, "refused": []}
    number = await world.number(customer)
    facts = await world.database.fetch(
        "SELECT payload FROM fact WHERE kind = 'purchase' AND (payload ->> 'number')::bigint = $1", number
    )
    identity = await world.database.fetchval("SELECT id FROM product WHERE code = $1", product["code"])
    assert [fact["payload"]["lines"] for fact in facts] == [[[identity, 2]]]
    is_problem(
        await world.ask("POST", "/v1/purchases", "retailer", purchase | {"total_minor": 999}), 409, "receipt_differs"
    )


async def test_purchases_without_consent_are_refused_alone(world: World) -> None:
    good, silent, product = await world.customer(), await world.customer(history=False), a_product()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    before = await world.count()
    is_problem(
        await world.ask("POST", "/v1/purchases", "retailer", a_purchase(silent, product["code"])), 403, "no_consent"
    )
    is_problem(await world.ask("POST", "/v1/purchases", "retailer", a_purchase("nobody", product["code"])), 404)
    assert await world.count() == before
    rows = [a_purchase(good, product["code"]), a_purchase(silent, product["code"]), a_purchase(good, "no such")]
    answer = await world.good("POST", "/v1/purchases", "retailer", {"purchases": rows})
    assert answer["accepted"] == 1
    assert [(r["row"], r["code"]) for r in answer["refused"]] == [(2, "no_consent"), (3, "unknown_product")]


async def test_a_search_finds_products_prices_and_offers_nearby(world: World) -> None:
    word = fresh("zither").replace("-", "")
    near = await world.store(lat=OULU[0] + 0.001, lng=OULU[1])
    far = await world.store(lat=OULU[0] + 0.005, lng=OULU[1])
    shut = await world.store(lat=OULU[0] + 0.002, lng=OULU[1], opening_hours="off")
    product = a_product(name=f"Golden {word}", brand="Wolff")
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    price = {"product": product["code"], "price_minor": 900, "currency": "EUR"}
    sale = price | {"store": near["code"], "price_minor": 800, "sale_price_minor": 700, "sale_from": now(-60)}
    await world.good("POST", "/v1/prices", "retailer", {"prices": [price, sale]})
    campaign = a_campaign([near["code"]], products=[product["code"]])
    draft = await world.good("POST", "/v1/campaigns", "retailer", campaign)
    await world.good("POST", f"/v1/campaigns/{draft['id']}/activate", "retailer")
    customer = await world.customer()
    token = await world.token(customer)
    query = f"/v1/search?q={word[:9]}%20gold&lat={OULU[0]}&lng={OULU[1]}"
    before = await world.services.valkey.xlen(f"log:{{{await world.number(customer) % 16}}}")
    found = (await world.good("GET", query, token))["results"]
    assert [one["store"] for one in found] == [near["code"], shut["code"], far["code"]]
    assert [one["open"] for one in found] == [True, False, True]
    assert (found[0]["price_minor"], found[0]["sale_price_minor"]) == (800, 700)
    assert (found[2]["price_minor"], found[2]["sale_price_minor"]) == (900, None)
    assert [one["campaign"] for one in found[0]["offers"]] == [draft["id"]] and not found[2]["offers"]
    assert abs(found[0]["distance_m"] - 111.2) < 0.5
    assert await world.services.valkey.xlen(f"log:{{{await world.number(customer) % 16}}}") == before + 1
    narrow = await world.good("GET", f"{query}&radius_m=300&open_now=true&customer={customer}", "app")
    assert [one["store"] for one in narrow["results"]] == [near["code"]]


async def test_a_search_without_location_consent_leaves_no_event(world: World) -> None:
    customer = await world.customer(location=False)
    before = await world.count()
    await world.good("GET", f"/v1/search?q=candle&lat=60&lng=25&customer={customer}", "app")
    assert await world.count() == before


async def test_coupons_are_shown_to_their_customer_and_redeemed(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    identity, code = await world.coupon(customer)
    token = await world.token(customer)
    [shown] = (await world.good("GET", "/v1/coupons", token))["coupons"]
    assert (shown["id"], shown["code"], shown["state"]) == (str(identity), code, "issued")
    assert await world.good("GET", f"/v1/coupons/{identity}", token) == shown
    is_problem(await world.ask("GET", f"/v1/coupons/{identity}", await world.token(other)), 404)
    typed = code.lower().replace("-", " ")
    redeemed = await world.good("POST", "/v1/redemptions", "till", a_redemption(typed), **keyed())
    assert (redeemed["coupon"], redeemed["discount_minor"]) == (str(identity), 300)
    assert (await world.good("GET", f"/v1/coupons/{identity}", token))["state"] == "redeemed"


async def test_the_inbox_and_its_receipts(world: World) -> None:
    customer = await world.customer()
    identity, _ = await world.coupon(customer)
    decision = await put_into_inbox(world, customer, identity)
    token = await world.token(customer)
    [message] = (await world.good("GET", "/v1/inbox", token))["messages"]
    assert (message["seq"], message["decision"], message["coupon"]) == (1, decision, str(identity))
    assert (await world.good("GET", "/v1/inbox?after=1", token))["messages"] == []
    receipt = {"decision": decision, "kind": "shown", "channel": "inapp"}
    assert await world.good("POST", "/v1/receipts", token, receipt) == {"first": True}
    assert await world.good("POST", "/v1/receipts", token, receipt) == {"first": False}
    other = await world.token(await world.customer())
    is_problem(await world.ask("POST", "/v1/receipts", other, receipt), 404)


async def test_health_and_metrics(world: World) -> None:
    assert (await world.ask("GET", "/livez")).status_code == 200
    ready = await world.good("GET", "/readyz")
    assert ready == {"ready": True, "postgresql": "ok", "valkey": "ok", "migrations": "ok"}
    text = (await world.ask("GET", "/metrics")).text
    assert 'candlemaker_http_requests_total{route="GET /livez",status="200"}' in text


async def test_an_upload_from_its_body_to_its_report(world: World) -> None:
    upload = await ended(world, "stores", "code,name,lat,lng,zone\n\nx,X,91,0,UTC\n")
    assert upload["state"] == "rejected" and upload["rows"] == 1
    assert [row["column"] for row in await rejected(world, upload)] == ["lat"]
    listed = (await world.good("GET", "/v1/uploads", "retailer"))["uploads"]
    assert listed[0] == upload


async def test_a_campaigns_versions_say_who_changed_what(world: World) -> None:
    store = await world.store()
    made = await world.good("POST", "/v1/campaigns", "retailer", a_campaign([store["code"]]))
    path, spec = f"/v1/campaigns/{made['id']}", made["campaign"]
    dearer = spec | {"offer": spec["offer"] | {"percent": 25}, "budget_coupons": 50}
    edited = await world.good("PUT", f"{path}?version=1", "retailer", dearer)
    assert (edited["version"], edited["campaign"]["offer"]["percent"], edited["budget"]["total"]) == (2, 25, 50)
    is_problem(await world.ask("PUT", f"{path}?version=1", "retailer", spec), 409, "conflict")
    is_problem(await world.ask("PUT", path, "retailer", spec | {"code": fresh("other")}), 422)
    await world.good("POST", f"{path}/activate", "retailer")
    await world.good("PUT", path, "retailer", spec)
    copy = {"code": fresh("copy"), "ends_at": now(7200)}
    cloned = await world.good("POST", f"{path}/clone", "retailer", copy)
    assert (cloned["state"], cloned["campaign"]["offer"], cloned["code"]) == ("draft", spec["offer"], copy["code"])
    is_problem(await world.ask("POST", f"{path}/clone", "retailer", copy), 409)
    await world.good("POST", f"{path}/stop", "retailer")
    is_problem(await world.ask("PUT", path, "retailer", spec), 409, "campaign_state")
    versions = (await world.good("GET", f"{path}/versions", "retailer"))["versions"]
    assert [one["verb"] for one in versions] == ["create", "edit", "activate", "edit", "stop"]
    assert [one["version"] for one in versions] == [1, 2, 3, 4, 5]
    assert [(one["campaign"] or {"offer": {}})["offer"].get("percent") for one in versions] == [15, 25, None, 15, None]
    assert {one["caller"] for one in versions} == {versions[0]["caller"]} and versions[0]["caller"].startswith("key:")
    for change in (
        "UPDATE campaign_audit SET caller = 'nobody'",
        "DELETE FROM campaign_audit",
        "TRUNCATE campaign_audit",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.database.execute(change)


async def test_a_transactional_message_waits_for_a_sender(world: World) -> None:
    customer = await world.customer()
    body = {"title": "Ready", "body": "Your order is ready.", "data": {"order": "17"}, "valid_for_s": 60}
    answer = await world.good("POST", f"/v1/customers/{customer}/messages", "app", body)
    row = await world.database.fetchrow(
        "SELECT m.*, c.lane FROM message m JOIN chunk c ON c.id = m.chunk WHERE m.id = $1", answer["id"]
    )
    assert (row["lane"], row["decision"], row["title"], row["channel"]) == ("transactional", None, "Ready", "fcm")
    assert row["data"] in ({"order": "17"}, '{"order": "17"}')
    for bad in (
        {"title": ""},
        {"title": "x", "data": {"from": "y"}},
        {"title": "x", "data": {"a": "x" * 1000}} | {"data": {f"k{n}": "x" * 1000 for n in range(5)}},
    ):
        assert (await world.ask("POST", f"/v1/customers/{customer}/messages", "app", bad)).status_code == 422
    assert (await world.ask("POST", "/v1/customers/nobody/messages", "app", body)).status_code == 404


async def test_quiet_hours_are_the_customers(world: World) -> None:
    customer, path = await world.customer(), "/v1/customers/"
    hours = {"start": "22:00", "end": "07:30"}
    assert (await world.good("PUT", path + customer, "app", {"quiet_hours": hours}))["quiet_hours"] == hours
    assert (await world.good("PUT", path + customer, "app", {"zone": "Europe/Helsinki"}))["quiet_hours"] == hours
    same = {"quiet_hours": {"start": "07:00", "end": "07:00"}}
    assert (await world.ask("PUT", path + customer, "app", same)).status_code in (400, 422)
    assert (await world.good("PUT", path + customer, "app", {"quiet_hours": None}))["quiet_hours"] is None


UNCALLED = {"GET /v1/stream", "GET /v1/transitions", "GET /openapi.json", "GET /metrics"}


async def test_every_route_was_called_with_success(world: World) -> None:
    """Keeps this file honest: a route added to the table without a happy path above is named here."""
    text = (await world.ask("GET", "/metrics")).text
    await world.good("GET", "/openapi.json")
    missing = [
        f"{route.method} {route.template}"
        for route in ROUTES
        if f'route="{route.method} {route.template}",status="{route.status}"' not in text
    ]
    assert [name for name in missing if name not in UNCALLED] == []
