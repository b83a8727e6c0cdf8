"""Every error the API answers: RFC 9457 `application/problem+json`, one `type` a kind.

Errors of uploads carry all their faults at once, each with row (1 is the first), column, code and a sentence.
"""

from __future__ import annotations

from typing import Any

import msgspec

MOST_FAULTS = 1000
"""Faults listed in one problem; the rest is counted in its `detail`."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a request: where (row from 1 in a batch, column as a path) and what."""

    code: str
    detail: str
    column: str | None = None
    row: int | None = None


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The wire form of a problem."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Fault] | None = None


TITLES: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not the JSON it should be"),
    "malformed_msgpack": (400, "The body is not the MessagePack it should be"),
    "malformed_request": (400, "The request is malformed"),
    "idempotency_key_missing": (400, "This call needs an Idempotency-Key"),
    "idempotency_key_malformed": (400, "The Idempotency-Key is malformed"),
    "unauthorised": (401, "A valid key or token is needed"),
    "forbidden": (403, "This key or token may not do that"),
    "no_consent": (403, "The customer has not consented"),
    "not_yours": (403, "That belongs to somebody else"),
    "not_found": (404, "There is nothing here"),
    "unknown_customer": (404, "The customer is unknown"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "body_too_slow": (408, "The body did not arrive in time"),
    "conflict": (409, "The request conflicts with what is stored"),
    "already_redeemed": (409, "The coupon was redeemed before"),
    "coupon_void": (409, "The coupon was withdrawn"),
    "campaign_state": (409, "The campaign's state does not allow that"),
    "receipt_differs": (409, "The receipt is stored with other content"),
    "idempotency_in_flight": (409, "The same call is still running"),
    "expired": (410, "The coupon has expired"),
    "too_large": (413, "The body is too large"),
    "uri_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "The body must be application/json or application/msgpack, not compressed"),
    "invalid": (422, "The request has faults"),
    "refused": (422, "Nothing of this was accepted"),
    "wrong_store": (422, "The coupon belongs to another store"),
    "wrong_currency": (422, "The currency is not the retailer's"),
    "below_minimum": (422, "The basket is below the offer's minimum"),
    "idempotency_key_reused": (422, "The Idempotency-Key was used for another request"),
    "too_many_requests": (429, "Too many requests"),
    "headers_too_large": (431, "The headers are too large"),
    "internal": (500, "Something failed on our side"),
    "busy": (503, "The service is at its bound; come back soon"),
}


class Problem(Exception):
    """Raised anywhere while answering; becomes the answer."""

    def __init__(
        self,
        kind: str,
        detail: str | None = None,
        errors: list[Fault] | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status, self.title = TITLES[kind]
        self.detail = detail
        self.errors = errors
        self.headers = headers or []

    @classmethod
    def busy(cls, retry_after_s: int, detail: str | None = None) -> Problem:
        """503 with Retry-After."""
        return cls("busy", detail, headers=[(b"retry-after", str(retry_after_s).encode())])

    def body(self) -> bytes:
        """The JSON bytes; at most `MOST_FAULTS` faults are listed."""
        errors, detail = self.errors, self.detail
        if errors is not None and len(errors) > MOST_FAULTS:
            detail = f"{len(errors)} faults; the first {MOST_FAULTS} are listed"
            errors = errors[:MOST_FAULTS]
        return msgspec.json.encode(ProblemBody(f"/problems/{self.kind}", self.title, self.status, detail, errors))


# What a violated constraint of the schema means to the caller.
CONSTRAINTS: dict[str, tuple[str, str]] = {
    "retailer_name_key": ("conflict", "a retailer of this name exists"),
    "store_code_is_unique": ("conflict", "a store of this code exists"),
    "product_code_is_unique": ("conflict", "a product of this code exists"),
    "campaign_code_is_unique": ("conflict", "a campaign of this code exists"),
    "never_more_leased_than_the_budget": ("invalid", "more coupons are handed out already; the budget cannot be less"),
    "campaign_ends_after_it_starts": ("invalid", "the campaign must end after it starts"),
    "campaign_moves_by_the_table": ("campaign_state", "the campaign cannot go there from its present state"),
    "only_an_ended_campaign_is_stopped": ("campaign_state", "only a running campaign can be stopped"),
    "one_owner_a_registration": ("conflict", "the registration is being moved by another call"),
    "receipt_is_unique": ("receipt_differs", "the receipt is being stored by another call"),
    "redemption_coupon_key": ("already_redeemed", "the coupon was redeemed at another till"),
    "retailer_keys_name_their_retailer": ("invalid", "retailer and till keys name a retailer, others do not"),
    "two_live_keys_a_line": ("conflict", "the key has a live successor already; revoke one of the two first"),
    "api_key_retailer_fkey": ("invalid", "the retailer does not exist"),
}


def of_violation(error: Any) -> Problem:
    """Translate a constraint violation of asyncpg by the constraint's name."""
    kind, detail = CONSTRAINTS.get(error.constraint_name or "", ("conflict", "a rule of the store was violated"))
    return Problem(kind, detail)
