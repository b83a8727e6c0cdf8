"""The message as pyfcm builds it from our parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest

from engine.channels.fcm_payload import MESSAGE_KEY, MOST_DATA_BYTES, PayloadFault, parts, ttl_s
from engine.channels.fcm_vendor import Vendor
from engine.channels.push import Push
from engine.errors import SettingError
from engine.standin.issuer import PROJECT, ServiceAccount
from engine.standin.rules import refusal_of
from engine.standin.shape import read

NOW_MS = 1_764_000_000_000
PUSH = Push(
    message_id=UUID(int=1),
    decision_id=UUID(int=2),
    registration="r-1",
    kind="token",
    title="15 % off",
    body="Tänään kello 18",
    data={"coupon": "ABC"},
    expires_ms=NOW_MS + 90_500,
)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    account = ServiceAccount.kept(tmp_path_factory.mktemp("account"), "http://127.0.0.1:1/token")
    return Vendor(str(account.path), "http://127.0.0.1:1/")


def built(vendor: Vendor, push: Push, life_s: int = 90) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(vendor.message(parts(push, life_s)))
    return request


def test_the_whole_message(vendor: Vendor) -> None:
    tag = str(PUSH.decision_id)
    assert built(vendor, PUSH) == {
        "message": {
            "token": "r-1",
            "notification": {"title": "15 % off", "body": "Tänään kello 18"},
            "data": {"coupon": "ABC", MESSAGE_KEY: str(PUSH.message_id)},
            "android": {"ttl": "90s", "priority": "HIGH", "notification": {"tag": tag}},
            "apns": {"headers": {"apns-collapse-id": tag, "apns-expiration": "1764000090"}},
            "webpush": {"headers": {"TTL": "90"}, "notification": {"tag": tag}},
        },
        "validate_only": False,
    }


@pytest.mark.parametrize("kind", ["token", "fid"])
def test_exactly_one_target(vendor: Vendor, kind: Literal["token", "fid"]) -> None:
    message = built(vendor, replace(PUSH, kind=kind))["message"]
    assert {name: message[name] for name in ("token", "fid", "topic", "condition") if name in message} == {kind: "r-1"}


def test_fcms_rules_accept_it(vendor: Vendor) -> None:
    request = read(vendor.message(parts(PUSH, 90)))
    assert not isinstance(request, list), request
    assert refusal_of(request) is None


@pytest.mark.parametrize(
    ("left_ms", "life_s"),
    [(1, 0), (999, 0), (1000, 1), (90_500, 90), (2_419_200_000, 2_419_200), (9_999_999_999, 2_419_200)],
)
def test_time_to_live(left_ms: int, life_s: int) -> None:
    assert ttl_s(NOW_MS + left_ms, NOW_MS) == life_s


@pytest.mark.parametrize("late_ms", [0, 1, 10**9])
def test_no_life_after_expiry(late_ms: int) -> None:
    assert ttl_s(NOW_MS, NOW_MS + late_ms) is None


def filled(size: int, letter: str = "x") -> Push:
    """A push whose counted bytes are *size*."""
    fixed = len(MESSAGE_KEY) + 36 + len("k") + len("t") + len("b")
    return replace(PUSH, title="t", body="b", data={"k": letter * ((size - fixed) // len(letter.encode()))})


def test_4096_bytes_pass_and_one_more_does_not(vendor: Vendor) -> None:
    fits = vendor.message(parts(filled(MOST_DATA_BYTES), 90))
    request = read(fits)
    assert not isinstance(request, list)
    assert refusal_of(request) is None, "the stand-in draws the line at the same byte"
    with pytest.raises(PayloadFault, match="4097 bytes"):
        parts(filled(MOST_DATA_BYTES + 1), 90)


def test_bytes_are_counted_not_letters() -> None:
    with pytest.raises(PayloadFault):
        parts(filled(MOST_DATA_BYTES + 2, "ä"), 90)


@pytest.mark.parametrize("key", ["from", "message_type", "google.x", "gcm.n"])
def test_reserved_keys(key: str) -> None:
    with pytest.raises(PayloadFault, match="reserves"):
        parts(replace(PUSH, data={key: "v"}), 90)


def test_values_are_strings() -> None:
    data: dict[str, Any] = {"k": 5}
    with pytest.raises(PayloadFault, match="strings"):
        parts(replace(PUSH, data=data), 90)


def test_repr_hides_what_a_stranger_must_not_see() -> None:
    push = replace(PUSH, registration="SECRET-1", title="SECRET-2", body="SECRET-3", data={"code": "SECRET-4"})
    assert "SECRET" not in repr(push)
    assert "SECRET" not in repr(parts(push, 90))
    assert str(PUSH.decision_id) in repr(push)


def test_the_address_names_the_project(vendor: Vendor) -> None:
    assert vendor.send_url == f"http://127.0.0.1:1/v1/projects/{PROJECT}/messages:send"


UNUSABLE = [None, "", "{}", "[]", "not json", '{"private_key": "SECRET", "client_email": "e"}']


@pytest.mark.parametrize("text", UNUSABLE)
def test_an_unusable_account_is_one_sentence(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "account.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingError, match="CANDLEMAKER_FCM_SERVICE_ACCOUNT") as caught:
        Vendor(str(path), "http://127.0.0.1:1")
    assert "SECRET" not in str(caught.value)


def test_no_account_at_all_is_the_same_sentence() -> None:
    with pytest.raises(SettingError, match="CANDLEMAKER_FCM_SERVICE_ACCOUNT"):
        Vendor("", "http://127.0.0.1:1")
