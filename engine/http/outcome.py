"""What became of a batch: accepted rows and refused ones, or one problem when nothing was accepted."""

from __future__ import annotations

from engine.http.problems import TITLES, Fault, Problem
from engine.http.wire import Accepted, Refusal

SENTENCES = {
    "unknown_customer": "the customer is unknown",
    "not_yours": "a token reports for its own customer only",
    "no_consent": "the customer has not consented",
    "null_island": "0, 0 is what a phone says that does not know",
    "bad_accuracy": "the accuracy is negative or beyond 5,000 m",
    "too_old": "the time lies too far back",
    "in_future": "the time lies in the future",
    "receipt_differs": "the receipt is stored with other content",
    "repeated_receipt": "the receipt stands twice in this batch",
    "unknown_store": "the retailer has no such store",
    "unknown_product": "the retailer has no such product",
    "wrong_currency": "the currency is not the retailer's",
}


def outcome(accepted: int, refused: list[Refusal], single: bool) -> Accepted:
    """The answer; raise the `Problem` of the refusals when nothing was accepted.

    Its kind is the reason they share (404, 403, 409), `refused` (422) when they differ or it has no kind of its own.
    """
    if accepted or not refused:
        return Accepted(accepted, refused)
    codes = {refusal.code for refusal in refused}
    only = codes.pop() if len(codes) == 1 else ""
    faults = [Fault(r.code, SENTENCES[r.code], row=None if single else r.row) for r in refused]
    raise Problem(only if only in TITLES else "refused", errors=faults)
