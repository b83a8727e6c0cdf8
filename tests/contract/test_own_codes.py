"""Coupon codes of a retailer's own making: one coupon gets each, a till redeems it, and a dump shows none."""

from __future__ import annotations

import pytest

from tests.contract.http_bodies import a_campaign, a_redemption, fresh, is_problem, keyed
from tests.contract.http_world import World
from tests.contract.upload_rig import done, faults, load, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

ISSUE = """WITH d AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell, event_at,
        logged_at, decided_at, terms, held)
    SELECT gen_random_uuid(), 0, 1, $1, 'enter', gen_random_uuid(), c.id, c.retailer, s.id, 0, now(),
        now(), now(), '{}', '[]'
    FROM campaign c JOIN store s ON s.retailer = c.retailer WHERE c.id = $2 LIMIT 1 RETURNING *)
INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
SELECT gen_random_uuid(), d.id, d.retailer, d.campaign, d.store, d.customer, uuid_send(gen_random_uuid()),
    (SELECT spec -> 'offer' FROM campaign WHERE id = d.campaign), now(), now() + interval '1 h' FROM d RETURNING id"""


async def test_from_a_list_to_the_till(world: World) -> None:
    store = await world.store()
    body = a_campaign([store["code"]]) | {"budget_coupons": 2, "own_codes": True}
    campaign = await world.good("POST", "/v1/campaigns", "retailer", body)
    path = f"/v1/campaigns/{campaign['id']}/activate"
    told = await world.ask("POST", path, "retailer")
    assert is_problem(told, 409, "campaign_state") and "0 of 2" in told.text
    words = [f"SUMMER {fresh('c')[:12]}", fresh("W")[:14]]
    table = "promotion_id,coupon_code\n" + "".join(f"{body['code']},{word}\n" for word in words)
    assert (await done(world, "codes", table))["created"] == 2
    assert (await done(world, "codes", table))["unchanged"] == 2
    await world.good("POST", path, "retailer")
    customer = await world.customer()
    token, number = await world.token(customer), await world.number(customer)
    coupons = [await world.database.fetchval(ISSUE, number, campaign["id"]) for _ in range(3)]
    shown = {c["id"]: c["code"] for c in (await world.good("GET", "/v1/coupons", token))["coupons"]}
    assert [shown[str(one)] for one in coupons[:2]] == words
    assert shown[str(coupons[2])] not in words, "the list is used up: a code of ours"
    redeemed = await world.good("POST", "/v1/redemptions", "till", a_redemption(words[0].lower()), **keyed())
    assert redeemed["coupon"] == str(coupons[0])
    is_problem(await world.ask("POST", "/v1/redemptions", "till", a_redemption(words[0]), **keyed()), 409)
    is_problem(await world.ask("POST", "/v1/redemptions", "neighbour's till", a_redemption(words[1]), **keyed()), 404)
    for table_ in ("coupon_code", "coupon", "upload_part", "upload_fault"):
        rows = await world.database.fetch(f"SELECT t::text AS row FROM {table_} t")
        hidden = [word for word in words for row in rows if word in row["row"] or word.encode().hex() in row["row"]]
        assert hidden == [], table_
    # A coupon of which nothing went out gives its code to the next.
    await world.database.execute("UPDATE coupon SET state = 'void' WHERE id = $1", coupons[1])
    again = await world.database.fetchval(ISSUE, number, campaign["id"])
    shown = {c["id"]: c["code"] for c in (await world.good("GET", "/v1/coupons", token))["coupons"]}
    assert shown[str(again)] == words[1]


async def test_a_code_is_one_campaigns(world: World) -> None:
    store = await world.store()
    first, second = a_campaign([store["code"]]), a_campaign([store["code"]])
    for body in (first, second):
        await world.good("POST", "/v1/campaigns", "retailer", body)
    word = fresh("W")
    await done(world, "codes", f"campaign,code\n{first['code']},{word}\n")
    assert await faults(world, "codes", f"campaign,code\n{second['code']},{word}\n") == [("1", "code", "conflict")]
    assert await faults(world, "codes", f"campaign,code\n{fresh('no')},{word}x\n") == [
        ("1", "campaign", "unknown_campaign")
    ]
    twice = f"campaign,code\n{first['code']},{word}y\n{first['code']},{word.upper()}Y\n"
    assert [code for _, _, code in await faults(world, "codes", twice)] == ["repeated"]
    assert (await done(world, "codes", f"campaign,code\n{first['code']},{word}z\n", replace=True))["ended"] == 1


async def test_campaigns_of_a_file_need_their_codes_before_they_are_activated(world: World) -> None:
    await world.store()
    header = "promotion_id,long_title,promotion_effective_dates,coupon_value_type,percent_off,budget,own_codes\n"
    row = f"{fresh('p')},Off,2026-01-01T00:00Z/2036-01-01T00:00Z,percent_off,10,1,true\n"
    assert await faults(world, "campaigns", header + row, activate=True) == [("1", "own_codes", "too_few_codes")]


async def test_a_loader_that_breaks_again_and_again_gives_up(world: World) -> None:
    answer = await send(world, "stores", "code,name,lat,lng,zone\nS,S,60,25,UTC\n")
    upload = answer.json()["id"]
    await world.database.execute("UPDATE upload SET attempts = 5 WHERE id = $1", upload)
    await load(world)
    told = await world.good("GET", f"/v1/uploads/{upload}", "retailer")
    assert (told["state"], told["difference"], told["faults"]) == ("failed", None, None)
    assert "our side" in told["reason"]
    assert await world.database.fetchval("SELECT count(*) FROM upload_part WHERE upload = $1", upload) == 0


async def test_a_retailers_uploads_are_stored_in_the_order_they_came(world: World) -> None:
    code, names = fresh("s"), [f"name {n}" for n in range(5)]
    for name in names:
        await send(world, "stores", f"code,name,lat,lng,zone\n{code},{name},60,25,UTC\n")
    await load(world)
    assert (await world.good("GET", f"/v1/stores/{code}", "retailer"))["name"] == names[-1]
