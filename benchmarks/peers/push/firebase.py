"""`firebase.py URL COUNT`: firebase-admin's own async call, 500 messages each, which is the most it takes."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from typing import Any

import message  # type: ignore[import-not-found]  # beside this file; run as a program

PAGE = 500


def messages(messaging: Any, first: int, count: int) -> list[Any]:
    """As many as fit one call."""
    platforms = message.platforms()
    android = messaging.AndroidConfig(
        ttl=86399, priority="high", notification=messaging.AndroidNotification(tag=message.TAG)
    )
    apns = messaging.APNSConfig(headers=platforms["apns"]["headers"])
    webpush = messaging.WebpushConfig(
        headers=platforms["webpush"]["headers"], notification=messaging.WebpushNotification(tag=message.TAG)
    )
    note = messaging.Notification(message.TITLE, message.BODY)
    return [
        messaging.Message(
            data=message.data(), notification=note, android=android, apns=apns, webpush=webpush,
            token=message.registration(first + n),
        )
        for n in range(count)
    ]  # fmt: skip


async def main(url: str, count: int) -> None:
    """Send, then say what it took."""
    admin = importlib.import_module("firebase_admin")
    messaging = importlib.import_module("firebase_admin.messaging")
    credentials = importlib.import_module("firebase_admin.credentials")
    oauth = importlib.import_module("google.oauth2.credentials")

    class Given(credentials.Base):  # type: ignore[misc,name-defined]  # the library is not installed here
        def get_credential(self) -> Any:
            return oauth.Credentials(token="ya29.bench")

    messaging._MessagingService.FCM_URL = url + "/v1/projects/{0}/messages:send"
    app = admin.initialize_app(Given(), {"projectId": "p"})
    await messaging.send_each_async(messages(messaging, 0, 1), app=app)
    began, spent = time.perf_counter(), os.times()
    for first in range(0, count, PAGE):
        answer = await messaging.send_each_async(messages(messaging, first, min(PAGE, count - first)), app=app)
        assert answer.failure_count == 0, answer.responses[0].exception
    now, wall = os.times(), time.perf_counter() - began
    cpu = now.user + now.system - spent.user - spent.system
    print(json.dumps({"sent": count, "cpu_s": cpu, "wall_s": wall, "version": admin.__version__}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
