"""The access token: one fetch in flight, renewed in good time, never waited for in vain."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine.channels.fcm_bearer import PAUSE_MS, RENEW_SHARE, Bearer, CredentialsRefused, Grant, IssuerAway

LIFE_MS = 3_600_000


class Issuer:
    """Grants t1, t2, ...; fails while `failure` is set; a gate can hold it inside the fetch."""

    def __init__(self) -> None:
        self.fetches = 0
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self) -> Grant:
        self.fetches += 1
        assert self.gate.wait(5)
        if self.failure:
            raise self.failure
        return Grant(f"t{self.fetches}", LIFE_MS / 1000)


async def settled(bearer: Bearer) -> None:
    """Let a background fetch end."""
    task = bearer._fetching
    assert task is not None
    await task


async def test_a_hundred_senders_cause_one_fetch() -> None:
    issuer = Issuer()
    issuer.gate.clear()
    bearer = Bearer(issuer.fetch)
    senders = [asyncio.create_task(bearer.other_than("", 0)) for _ in range(100)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert set(await asyncio.gather(*senders)) == {"t1"}
    assert issuer.fetches == 1


async def test_the_loop_runs_while_the_issuer_dawdles() -> None:
    issuer = Issuer()
    issuer.gate.clear()
    sender = asyncio.create_task(Bearer(issuer.fetch).other_than("", 0))
    await asyncio.sleep(0)
    issuer.gate.set()  # only reached if the fetch does not hold the loop
    assert await sender == "t1"


async def test_renewed_in_the_background_between_75_and_80_percent() -> None:
    assert 0.75 <= RENEW_SHARE <= 0.80
    issuer = Issuer()
    bearer = Bearer(issuer.fetch)
    assert await bearer.other_than("", 0) == "t1"
    assert await bearer.other_than("", round(LIFE_MS * 0.75)) == "t1"
    assert issuer.fetches == 1
    assert await bearer.other_than("", round(LIFE_MS * 0.80)) == "t1", "nobody waits for the background"
    await settled(bearer)
    assert await bearer.other_than("", round(LIFE_MS * 0.80)) == "t2"
    assert issuer.fetches == 2


async def test_a_token_is_not_used_past_its_life() -> None:
    issuer = Issuer()
    bearer = Bearer(issuer.fetch)
    await bearer.other_than("", 0)
    assert await bearer.other_than("", LIFE_MS) == "t2"


async def test_many_refused_senders_cause_one_renewal() -> None:
    issuer = Issuer()
    bearer = Bearer(issuer.fetch)
    await bearer.other_than("", 0)
    assert set(await asyncio.gather(*(bearer.other_than("t1", 1) for _ in range(50)))) == {"t2"}
    assert await bearer.other_than("t1", 2) == "t2", "a late refusal of the old token renews nothing"
    assert issuer.fetches == 2


async def test_a_refused_token_is_nobodys_while_its_successor_is_fetched() -> None:
    issuer = Issuer()
    bearer = Bearer(issuer.fetch)
    await bearer.other_than("", 0)
    issuer.gate.clear()
    refused = [asyncio.create_task(bearer.other_than(stale, 1)) for stale in ("t1", "t1", "")]
    await asyncio.sleep(0)
    assert bearer.ready(1) == "", "the lane waits instead of writing with it"
    issuer.gate.set()
    assert set(await asyncio.gather(*refused)) == {"t2"}


async def test_a_failed_background_renewal_keeps_the_old_token_and_pauses() -> None:
    issuer = Issuer()
    bearer = Bearer(issuer.fetch)
    await bearer.other_than("", 0)
    issuer.failure = IssuerAway("unreachable")
    at_ms = round(LIFE_MS * 0.8)
    assert await bearer.other_than("", at_ms) == "t1"
    await settled(bearer)
    failed = bearer._fetching
    assert await bearer.other_than("", at_ms + PAUSE_MS - 1) == "t1"
    assert bearer._fetching is failed, "left alone for a while"
    issuer.failure = None
    await bearer.other_than("", at_ms + PAUSE_MS)
    await settled(bearer)
    assert await bearer.other_than("", at_ms + PAUSE_MS) == "t3"


@pytest.mark.parametrize("failure", [IssuerAway("unreachable"), CredentialsRefused("invalid_grant")])
async def test_without_any_token_the_failure_is_everybodys(failure: Exception) -> None:
    issuer = Issuer()
    issuer.failure = failure
    bearer = Bearer(issuer.fetch)
    results = await asyncio.gather(*(bearer.other_than("", 0) for _ in range(5)), return_exceptions=True)
    assert {type(r) for r in results} == {type(failure)}
    with pytest.raises(type(failure)):
        await bearer.other_than("", PAUSE_MS - 1)
    assert issuer.fetches == 1
    issuer.failure = None
    assert await bearer.other_than("", PAUSE_MS) == "t2"


async def test_one_impatient_sender_does_not_cancel_the_fetch() -> None:
    issuer = Issuer()
    issuer.gate.clear()
    bearer = Bearer(issuer.fetch)
    patient = asyncio.create_task(bearer.other_than("", 0))
    impatient = asyncio.create_task(bearer.other_than("", 0))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    issuer.gate.set()
    assert await patient == "t1"
    assert impatient.cancelled()


def test_repr_hides_the_token() -> None:
    assert "ya29" not in repr(Grant("ya29.secret", 1.0))
