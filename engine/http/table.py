"""The one table of routes. What is not here does not exist; what is here says who may call it."""

from __future__ import annotations

from engine.http import (
    apikeys,
    campaigns,
    consents,
    coupons,
    customers,
    devices,
    health,
    inbox,
    messages,
    pings,
    products,
    purchases,
    redemptions,
    retailers,
    searches,
    stores,
    stream,
    transitions,
    uploads,
)  # fmt: skip
from engine.http.bulk import Uploaded
from engine.http.openapi import get_document
from engine.http.routes import Route, scopes
from engine.http.wire import Accepted, OfRetailer, Page
from offers.campaign import Campaign

_ADMIN = scopes("admin")
_APP = scopes("app")
_RETAILER = scopes("admin", "retailer")
_CUSTOMER = scopes("customer")
_PUBLIC = scopes("public")

ROUTES: tuple[Route, ...] = (
    # The way of a ping, first because it is asked for most.
    Route(
        method="POST", path="/v1/pings", scopes=scopes("app", "customer"), handler=pings.post_pings, status=202,
        request=pings.Pings, one=pings.Ping, answer=Accepted, work="plain", rows="pings",
        limit_bytes=pings.LIMIT_BYTES, summary="Report positions of customers who consented to location",
    ),
    Route(
        method="GET", path="/v1/search", scopes=scopes("app", "customer"), handler=searches.search,
        query=searches.SearchQuery, answer=searches.Results, work="plain",
        summary="Search products and stores around a point",
    ),
    Route(
        method="POST", path="/v1/purchases", scopes=scopes("app", "retailer"), handler=purchases.post,
        request=purchases.Purchases, one=purchases.Purchase, query=OfRetailer, answer=Accepted, effect=True,
        rows="purchases", summary="Store receipts of customers who consented to history",
    ),
    Route(
        method="POST", path="/v1/redemptions", scopes=scopes("till"), handler=redemptions.post, status=201,
        request=redemptions.Redemption, query=OfRetailer, answer=redemptions.Redeemed, work="tenant", effect=True,
        key_required=True, reserve=True, summary="Redeem a coupon at a till, at most once",
    ),
    # Customers.
    Route(
        method="POST", path="/v1/customers", scopes=_APP, handler=customers.bulk, status=201,
        request=customers.NewCustomers, answer=customers.CreatedCustomers, effect=True, rows="customers",
        summary="Create customers in bulk, with consents and devices",
    ),
    Route(
        method="PUT", path="/v1/customers/{customer:code}", scopes=_APP, handler=customers.put,
        request=customers.CustomerChange, answer=customers.Customer, effect=True,
        summary="Create a customer or change its zone",
    ),
    Route(
        method="GET", path="/v1/customers/{customer:code}", scopes=_APP, handler=customers.get,
        answer=customers.Customer, summary="One customer",
    ),
    Route(
        method="PUT", path="/v1/customers/{customer:code}/consents", scopes=_APP, handler=consents.put,
        request=consents.Consents, answer=consents.StoredConsents, effect=True, reserve=True,
        summary="Give or revoke consent by purpose",
    ),
    Route(
        method="POST", path="/v1/customers/{customer:code}/messages", scopes=_APP, handler=messages.post, status=202,
        request=messages.NewMessage, answer=messages.QueuedMessage, effect=True,
        summary="Push a transactional message to a customer, before all offers",
    ),
    Route(
        method="POST", path="/v1/customers/{customer:code}/token", scopes=_APP, handler=customers.token, status=201,
        answer=customers.Token, effect=True, sealed=True, summary="Mint a short-lived token for the customer's phone",
    ),
    Route(
        method="PUT", path="/v1/customers/{customer:code}/devices/{device:code}", scopes=_APP, handler=devices.put,
        request=devices.NewDevice, answer=devices.DeviceRow, effect=True,
        summary="Register a device; a registration moves to its newest owner",
    ),
    Route(
        method="DELETE", path="/v1/customers/{customer:code}/devices/{device:code}", scopes=_APP,
        handler=devices.delete, status=204, effect=True, summary="Send nothing to a device any more",
    ),
    # What a customer's phone asks.
    Route(
        method="GET", path="/v1/coupons", scopes=_CUSTOMER, handler=coupons.page, query=coupons.CouponsQuery,
        answer=coupons.Coupons, summary="The customer's coupons, newest first",
    ),
    Route(
        method="GET", path="/v1/coupons/{coupon:uuid}", scopes=_CUSTOMER, handler=coupons.one, answer=coupons.Coupon,
        summary="One coupon",
    ),
    Route(
        method="GET", path="/v1/inbox", scopes=_CUSTOMER, handler=inbox.page, query=inbox.InboxQuery,
        answer=inbox.Inbox, summary="In-app messages after a seq",
    ),
    Route(
        method="GET", path="/v1/stream", scopes=_CUSTOMER, handler=stream.open_stream, work="plain",
        media="text/event-stream", summary="In-app messages as server-sent events, resumed by Last-Event-ID",
    ),
    Route(
        method="GET", path="/v1/transitions", scopes=_APP, handler=transitions.open_transitions, work="plain",
        answer=transitions.Transitions, media="text/event-stream",
        summary="Enters, dwells and exits as server-sent events, resumed by Last-Event-ID",
    ),
    Route(
        method="POST", path="/v1/receipts", scopes=_CUSTOMER, handler=inbox.receipt, request=inbox.Receipt,
        answer=inbox.Recorded, effect=True, summary="Report what became of a message on the phone",
    ),
    # What a retailer uploads.
    Route(
        method="POST", path="/v1/stores", scopes=_RETAILER, handler=stores.upload, request=stores.NewStores,
        query=OfRetailer, answer=Uploaded, work="tenant", effect=True, rows="stores",
        summary="Insert or replace stores by code; all or none",
    ),
    Route(
        method="GET", path="/v1/stores", scopes=_RETAILER, handler=stores.page, query=Page, answer=stores.Stores,
        work="tenant", summary="The retailer's stores",
    ),
    Route(
        method="GET", path="/v1/stores/{code:code}", scopes=_RETAILER, handler=stores.one, query=OfRetailer,
        answer=stores.StoredStore, work="tenant", summary="One store",
    ),
    Route(
        method="POST", path="/v1/products", scopes=_RETAILER, handler=products.upload, request=products.NewProducts,
        query=OfRetailer, answer=Uploaded, work="tenant", effect=True, rows="products",
        summary="Insert or replace products by code; all or none",
    ),
    Route(
        method="GET", path="/v1/products", scopes=_RETAILER, handler=products.page, query=Page,
        answer=products.Products, work="tenant", summary="The retailer's products",
    ),
    Route(
        method="POST", path="/v1/prices", scopes=_RETAILER, handler=products.price, request=products.NewPrices,
        query=OfRetailer, answer=products.Priced, work="tenant", effect=True, rows="prices",
        summary="Set prices by product and store; all or none",
    ),
    Route(
        method="POST", path="/v1/uploads", scopes=_RETAILER, handler=uploads.post, status=202,
        query=uploads.NewUpload, answer=uploads.Upload, work="tenant", effect=True, streams=True,
        takes=tuple(media.decode() for media in uploads.MEDIA),
        summary="Upload a file of rows, plain or gzip; all of it is stored, or none",
    ),
    Route(
        method="GET", path="/v1/uploads", scopes=_RETAILER, handler=uploads.page, query=uploads.UploadsQuery,
        answer=uploads.UploadList, work="tenant", summary="The retailer's latest uploads",
    ),
    Route(
        method="GET", path="/v1/uploads/{upload:uuid}", scopes=_RETAILER, handler=uploads.one, query=OfRetailer,
        answer=uploads.Upload, work="tenant", summary="One upload, how far it is and the difference it made",
    ),
    Route(
        method="GET", path="/v1/uploads/{upload:uuid}/rejected", scopes=_RETAILER, handler=uploads.faults,
        query=OfRetailer, work="plain", media="text/csv", summary="The rows an upload was rejected for, as CSV",
    ),
    Route(
        method="POST", path="/v1/campaigns", scopes=_RETAILER, handler=campaigns.create, status=201, request=Campaign,
        query=OfRetailer, answer=campaigns.StoredCampaign, work="tenant", effect=True,
        summary="Store a campaign as a draft",
    ),
    Route(
        method="POST", path="/v1/campaigns/validate", scopes=_RETAILER, handler=campaigns.validate, request=Campaign,
        query=OfRetailer, answer=campaigns.Verdict, work="tenant", effect=True,
        summary="Say all that is wrong with a campaign, store nothing",
    ),
    Route(
        method="GET", path="/v1/campaigns", scopes=_RETAILER, handler=campaigns.page, query=Page,
        answer=campaigns.Campaigns, work="tenant", summary="The retailer's campaigns",
    ),
    Route(
        method="GET", path="/v1/campaigns/{campaign:number}", scopes=_RETAILER, handler=campaigns.one,
        query=OfRetailer, answer=campaigns.StoredCampaign, work="tenant", summary="One campaign",
    ),
    Route(
        method="PUT", path="/v1/campaigns/{campaign:number}", scopes=_RETAILER, handler=campaigns.edit,
        request=Campaign, query=campaigns.EditQuery, answer=campaigns.StoredCampaign, work="tenant", effect=True,
        summary="Say anew what a campaign says: another version of it",
    ),
    Route(
        method="POST", path="/v1/campaigns/{campaign:number}/clone", scopes=_RETAILER, handler=campaigns.clone,
        status=201, request=campaigns.Clone, query=OfRetailer, answer=campaigns.StoredCampaign, work="tenant",
        effect=True, summary="A draft that says the same under another code",
    ),
    Route(
        method="GET", path="/v1/campaigns/{campaign:number}/versions", scopes=_RETAILER, handler=campaigns.versions,
        query=OfRetailer, answer=campaigns.Versions, work="tenant", summary="Who changed what of a campaign",
    ),
    *(
        Route(
            method="POST", path=f"/v1/campaigns/{{campaign:number}}/{verb}", scopes=_RETAILER, handler=handler,
            query=OfRetailer, answer=campaigns.StoredCampaign, work="tenant", effect=True, summary=summary,
        )
        for verb, handler, summary in (
            ("activate", campaigns.activate, "Make a campaign live, or scheduled when its start lies ahead"),
            ("pause", campaigns.pause, "Make no offers until activated again"),
            ("end", campaigns.end, "Make no more offers"),
            ("stop", campaigns.stop, "Kill a campaign: queued messages are suppressed as well"),
        )
    ),
    # What the operator does.
    Route(
        method="POST", path="/v1/retailers", scopes=_ADMIN, handler=retailers.create, status=201,
        request=retailers.NewRetailer, answer=retailers.Retailer, effect=True, summary="Make a retailer",
    ),
    Route(
        method="GET", path="/v1/retailers", scopes=_ADMIN, handler=retailers.page, query=Page,
        answer=retailers.Retailers, summary="All retailers",
    ),
    Route(
        method="POST", path="/v1/keys", scopes=_ADMIN, handler=apikeys.create, status=201, request=apikeys.NewApiKey,
        answer=apikeys.ShownOnce, effect=True, sealed=True, summary="Make an API key; it is shown once",
    ),
    Route(
        method="GET", path="/v1/keys", scopes=_ADMIN, handler=apikeys.page, query=Page, answer=apikeys.ApiKeys,
        summary="All API keys, without their secrets",
    ),
    Route(
        method="POST", path="/v1/keys/{key:number}/rotate", scopes=_ADMIN, handler=apikeys.rotate, status=201,
        request=apikeys.Rotation, answer=apikeys.ShownOnce, effect=True, sealed=True,
        summary="Make a successor of an API key; two of a line are live at most",
    ),
    Route(
        method="DELETE", path="/v1/keys/{key:number}", scopes=_ADMIN, handler=apikeys.revoke, status=204, effect=True,
        summary="Revoke an API key",
    ),
    Route(
        method="GET", path="/livez", scopes=_PUBLIC, handler=health.livez, answer=health.Live, work="plain",
        summary="The process runs",
    ),
    Route(
        method="GET", path="/readyz", scopes=_PUBLIC, handler=health.readyz, answer=health.Ready, work="plain",
        summary="The process and what it stands on can work",
    ),
    Route(
        method="GET", path="/metrics", scopes=_PUBLIC, handler=health.metrics, work="plain",
        media="text/plain; version=0.0.4; charset=utf-8",
        summary="Prometheus metrics: from loopback without a key, from elsewhere with an admin key",
    ),
    Route(
        method="GET", path="/openapi.json", scopes=_PUBLIC, handler=get_document, work="plain",
        summary="This description, OpenAPI 3.1",
    ),
)  # fmt: skip
