"""The stand-in judges like Google: names, types, targets, sizes, times to live, grants; and forgets no arrival."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from engine.channels.fcm_answer import classify
from engine.channels.push import Verdict
from engine.standin.fcm import Done, Fcm, Request
from engine.standin.issuer import EMAIL, GOOGLE_AUDIENCE, GRANT_TYPE, PROJECT, GrantRefused, Issuer, ServiceAccount
from engine.standin.ledger import Ledger
from engine.standin.limits import Limits
from engine.standin.script import EVERYBODY, Answer, Script, Scripts

NOW_MS = 1_764_000_000_000
TOKEN_URI = "http://127.0.0.1:1/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ServiceAccount:
    return ServiceAccount.kept(tmp_path_factory.mktemp("account"), TOKEN_URI)


@pytest.fixture
def issuer(account: ServiceAccount) -> Issuer:
    return Issuer(account, life_s=100)


def assertion(account: ServiceAccount, **changed: Any) -> str:
    now_s = int(time.time())
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": TOKEN_URI, "iat": now_s, "exp": now_s + 3600, **changed}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, account.key, algorithm="RS256")


class Door:
    """The send method with a good bearer at hand."""

    def __init__(self, fcm: Fcm, bearer: str, ledger: Ledger, scripts: Scripts) -> None:
        self.fcm, self.bearer, self.ledger, self.scripts = fcm, bearer, ledger, scripts

    def send(self, message: Any, **root: Any) -> Done:
        return self.raw(json.dumps({"message": message, **root}).encode())

    def raw(self, body: bytes) -> Done:
        return self.fcm.send(Request(PROJECT, f"Bearer {self.bearer}", body), NOW_MS)

    def refusal(self, message: Any, **root: Any) -> tuple[int, str]:
        reply = self.send(message, **root).reply
        return reply.status, msgspec.json.decode(reply.body).get("error", {}).get("message", "")


@pytest.fixture
def door(account: ServiceAccount, issuer: Issuer, tmp_path: Path) -> Iterator[Door]:
    ledger, scripts = Ledger(tmp_path), Scripts()
    bearer = str(issuer.grant(GRANT_TYPE, assertion(account), NOW_MS)["access_token"])
    limits = Limits(project_a_minute=300)
    yield Door(Fcm(issuer, ledger, scripts, limits), bearer, ledger, scripts)
    ledger.close()


GOOD: dict[str, Any] = {"token": "phone-1", "notification": {"title": "t"}, "data": {"k": "v"}}


@pytest.mark.parametrize(
    "message",
    [
        GOOD,
        {"fid": "phone-1"},
        {"topic": "news"},
        {"condition": "'a' in topics"},
        {
            **GOOD,
            "android": {"ttl": "3.5s", "collapse_key": "k", "notification": {"tag": "t", "notification_count": 3}},
        },
        {**GOOD, "android": {"ttl": "0s", "directBootOk": True}},
        {**GOOD, "android": {"ttl": "2419200s", "priority": "high"}},
        {
            **GOOD,
            "androidV2": {
                "ttl": "9s",
                "remoteNotification": {"notification": {"id": 7, "tag": "t"}},
                "backgroundSync": {},
            },
        },
        {**GOOD, "android": {"notification": {"visibility": "SECRET", "eventTime": "2026-10-02T15:01:23.045123456Z"}}},
        {
            **GOOD,
            "android": {
                "notification": {
                    "light_settings": {"color": {"red": 1, "alpha": 0.5}, "lightOnDuration": "3.5s"},
                    "vibrateTimings": ["1s", "0.2s"],
                }
            },
        },
        {**GOOD, "apns": {"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"badge": 1}}}},
        {**GOOD, "webpush": {"headers": {"TTL": "5"}, "notification": {"tag": "x", "actions": []}}},
        {**GOOD, "fcm_options": {"analytics_label": "a"}, "topic": None},
    ],
)
def test_good_messages(door: Door, message: dict[str, Any]) -> None:
    assert door.send(message).reply.status == 200


REFUSED = [
    ({**GOOD, "tokn": 1}, "Invalid JSON payload received. Unknown name \"tokn\" at 'message': Cannot find field."),
    (
        {**GOOD, "android": {"notification": {"Tag": "x"}}},
        "Invalid JSON payload received. Unknown name \"Tag\" at 'message.android.notification': Cannot find field.",
    ),
    ({**GOOD, "data": {"n": 5}}, "Invalid value at 'message.data[0].value' (TYPE_STRING), 5"),
    ({**GOOD, "data": {"n": None}}, "Invalid value at 'message.data[0].value' (TYPE_STRING), null"),
    ({**GOOD, "notification": {"title": 5}}, "Invalid value at 'message.notification.title' (TYPE_STRING), 5"),
    (
        {**GOOD, "topic": "x"},
        "Invalid value (oneof), oneof field 'target' is already set. Cannot set 'topic'",
    ),
    ({"data": {}}, "Recipient of the message is not set."),
    ({"token": ""}, "Recipient of the message is not set."),
    ({**GOOD, "data": {"k": "x" * 4095}}, "Android message is too big"),
    ({**GOOD, "data": {"from": "x"}}, "Invalid data payload key: from"),
    (
        {**GOOD, "android": {"ttl": "60"}},
        "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), "
        "Illegal duration format; duration must end with 's'",
    ),
    ({**GOOD, "android": {"ttl": "2419201s"}}, "Request contains an invalid argument."),
    ({**GOOD, "android": {"ttl": "-1s"}}, "Request contains an invalid argument."),
    ({**GOOD, "android": {}, "androidV2": {}}, "Request contains an invalid argument."),
    (
        {**GOOD, "android": {"priority": "URGENT"}},
        "Invalid value at 'message.android.priority' "
        '(type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), "URGENT"',
    ),
    (
        {**GOOD, "androidV2": {"anything": [1]}},
        "Invalid JSON payload received. Unknown name \"anything\" at 'message.androidV2': Cannot find field.",
    ),
    (
        {**GOOD, "android": {"notification": {"visibility": "HIDDEN"}}},
        "Invalid value at 'message.android.notification.visibility' "
        '(type.googleapis.com/google.firebase.fcm.v1.AndroidNotification.Visibility), "HIDDEN"',
    ),
    (
        {**GOOD, "android": {"notification": {"vibrateTimings": ["1s", "2"]}}},
        "Invalid value at 'message.android.notification.vibrateTimings[1]' "
        "(type.googleapis.com/google.protobuf.Duration), Illegal duration format; duration must end with 's'",
    ),
    (
        {**GOOD, "android": {"notification": {"eventTime": "tomorrow"}}},
        "Invalid value at 'message.android.notification.eventTime' (type.googleapis.com/google.protobuf.Timestamp), "
        "Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset.",
    ),
    (
        {**GOOD, "android": {"notification": {"notificationCount": 2**31}}},
        "Invalid value at 'message.android.notification.notificationCount' (TYPE_INT32), 2147483648",
    ),
    (
        {**GOOD, "android": {"notification": {"sticky": 1}}},
        "Invalid value at 'message.android.notification.sticky' (TYPE_BOOL), 1",
    ),
    (
        {**GOOD, "android": {"notification": {"lightSettings": {"color": {"red": "1"}}}}},
        "Invalid value at 'message.android.notification.lightSettings.color.red' (TYPE_FLOAT), \"1\"",
    ),
    ({**GOOD, "androidV2": {"ttl": "2419201s"}}, "Request contains an invalid argument."),
    (None, "Request contains an invalid argument."),
]


@pytest.mark.parametrize(("message", "says"), REFUSED)
def test_refused_in_googles_words(door: Door, message: Any, says: str) -> None:
    assert door.refusal(message) == (400, says)
    assert [a.status for a in door.ledger.since(0, {}, 9)] == [400], "refused arrivals are arrivals"


@pytest.mark.parametrize("message", [m for m, _ in REFUSED])
def test_no_refusal_blames_the_registration(door: Door, message: Any) -> None:
    """What Google refuses for its shape, our channel must take for the campaign's fault."""
    reply = door.send(message).reply
    assert classify(reply.status, {}, reply.body, NOW_MS).verdict is Verdict.PAYLOAD_FAULT


def test_all_problems_at_once(door: Door) -> None:
    reply = door.send({"token": 5, "x": 1, "android": {"y": 2}}, z=3).reply
    error = msgspec.json.decode(reply.body)["error"]
    violations = error["details"][0]["fieldViolations"]
    assert [v.get("field", "") for v in violations] == ["message.token", "message", "message.android", ""]
    assert error["message"].count("\n") == 3


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b'{"message": ' * 3000])
def test_what_is_no_json_object_is_refused(door: Door, body: bytes) -> None:
    assert door.raw(body).reply.status == 400


def test_validate_only_delivers_nothing(door: Door) -> None:
    reply = door.send(GOOD, validate_only=True).reply
    assert json.loads(reply.body)["name"].endswith("/fake_message_id")
    assert door.ledger.summary()["accepted"] == 0


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}"])
def test_a_bearer_is_needed(door: Door, authorization: str) -> None:
    body = json.dumps({"message": GOOD}).encode()
    done = door.fcm.send(Request(PROJECT, authorization.format(door.bearer), body), NOW_MS)
    assert done.reply.status == 401
    assert json.loads(done.reply.body)["error"]["status"] == "UNAUTHENTICATED"


def test_a_bearer_ends(door: Door) -> None:
    asked = Request(PROJECT, f"Bearer {door.bearer}", json.dumps({"message": GOOD}).encode())
    assert door.fcm.send(asked, NOW_MS + 99_999).reply.status == 200
    assert door.fcm.send(asked, NOW_MS + 100_000).reply.status == 401
    assert door.fcm.send(replace(asked, project="elsewhere"), NOW_MS).reply.status == 403


@pytest.mark.parametrize("audience", [TOKEN_URI, GOOGLE_AUDIENCE])
def test_a_good_assertion(issuer: Issuer, account: ServiceAccount, audience: str) -> None:
    answer = issuer.grant(GRANT_TYPE, assertion(account, aud=audience), NOW_MS)
    assert issuer.knows(str(answer["access_token"]), NOW_MS)
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 100)


NOW_S = int(time.time())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"iss": "somebody@else"}, "invalid_grant"),
        ({"aud": "http://127.0.0.1:2/token"}, "invalid_grant"),
        ({"exp": NOW_S - 60, "iat": NOW_S - 120}, "invalid_grant"),
        ({"iat": NOW_S - 60, "exp": NOW_S + 86_400}, "invalid_grant"),
        ({"iat": NOW_S + 3000, "exp": NOW_S + 3600}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_a_bad_assertion(issuer: Issuer, account: ServiceAccount, changed: dict[str, Any], error: str) -> None:
    with pytest.raises(GrantRefused) as refused:
        issuer.grant(GRANT_TYPE, assertion(account, **changed), NOW_MS)
    assert refused.value.error == error


def test_a_forged_assertion(issuer: Issuer, tmp_path: Path) -> None:
    forger = ServiceAccount.kept(tmp_path, TOKEN_URI)
    with pytest.raises(GrantRefused, match="Signature"):
        issuer.grant(GRANT_TYPE, assertion(forger), NOW_MS)


@pytest.mark.parametrize(
    "forge", [lambda t: "", lambda t: "x.y.z", lambda t: t[:-4], lambda t: jwt.encode({}, "", "none")]
)
def test_a_broken_assertion(issuer: Issuer, account: ServiceAccount, forge: Callable[[str], str]) -> None:
    with pytest.raises(GrantRefused):
        issuer.grant(GRANT_TYPE, forge(assertion(account)), NOW_MS)


def test_another_grant_type(issuer: Issuer, account: ServiceAccount) -> None:
    with pytest.raises(GrantRefused) as refused:
        issuer.grant("password", assertion(account), NOW_MS)
    assert refused.value.error == "unsupported_grant_type"


def test_a_script_is_used_up_in_order(door: Door) -> None:
    door.scripts.put(Script("phone-1", [Answer("internal", times=2), Answer("not_found")]))
    door.scripts.put(Script(EVERYBODY, [Answer("unavailable")]))
    assert [door.send(GOOD).reply.status for _ in range(5)] == [500, 500, 404, 503, 200]
    door.scripts.put(Script("phone-1", [Answer("internal")]))
    door.scripts.put(Script("phone-1", []))
    assert door.send(GOOD).reply.status == 200


def test_a_device_takes_240_a_minute(door: Door) -> None:
    assert {door.send(GOOD).reply.status for _ in range(240)} == {200}
    reply = door.send(GOOD).reply
    outcome = classify(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.body, NOW_MS)
    assert (outcome.verdict, outcome.retry_after_s) == (Verdict.DEVICE_BACKOFF, 60.0)
    assert door.send({"token": "phone-2"}).reply.status == 200


def test_a_project_has_its_quota_and_refusals_for_shape_count(door: Door) -> None:
    assert {door.send({"token": f"phone-{n}"}).reply.status for n in range(299)} == {200}
    assert door.send({"nonsense": 1}).reply.status == 400
    reply = door.send({"token": "phone-x"}).reply
    assert classify(reply.status, {}, reply.body, NOW_MS).verdict is Verdict.LANE_PAUSE
