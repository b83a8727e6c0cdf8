"""`pyfcm_modes.py URL COUNT MODE`: pyfcm in `sequence`, in so many threads (`threads-8`), or by its `async` call."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import message  # type: ignore[import-not-found]  # beside this file; run as a program

PAGE = 200


def arguments(n: int) -> dict[str, Any]:
    """One message, as `notify` takes it."""
    platforms = message.platforms()
    return {
        "fcm_token": message.registration(n), "notification_title": message.TITLE, "notification_body": message.BODY,
        "data_payload": message.data(), "android_config": platforms["android"], "apns_config": platforms["apns"],
        "webpush_config": platforms["webpush"],
    }  # fmt: skip


def main(url: str, count: int, mode: str) -> None:
    """Send, then say what it took."""
    fcm = importlib.import_module("pyfcm").FCMNotification(project_id="p", credentials=object())
    fcm.FCM_END_POINT_BASE = f"{url}/v1/projects"
    fcm._get_access_token = lambda: "ya29.bench"
    fcm.notify(**arguments(0))
    began, spent = time.perf_counter(), os.times()
    if mode == "async":
        for first in range(0, count, PAGE):
            page = [arguments(n) for n in range(first, min(first + PAGE, count))]
            assert all("name" in answer for answer in fcm.async_notify_multiple_devices(page, timeout=30))
    elif mode.startswith("threads-"):
        with ThreadPoolExecutor(int(mode.removeprefix("threads-"))) as pool:
            assert all("name" in answer for answer in pool.map(lambda n: fcm.notify(**arguments(n)), range(count)))
    else:
        for n in range(count):
            fcm.notify(**arguments(n))
    now, wall = os.times(), time.perf_counter() - began
    cpu = now.user + now.system - spent.user - spent.system
    version = importlib.metadata.version("pyfcm")
    print(json.dumps({"sent": count, "cpu_s": cpu, "wall_s": wall, "version": version}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
