"""The shape of `messages:send`, hand-written from the public FCM v1 reference and its discovery document.

The document itself ships in google-api-python-client, far too heavy a part for one schema. Free-form objects
(`apns.payload`, `webpush.notification`, `androidV2`, light settings) are taken as they come. `fid` and
`androidV2` are the 2026 additions.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Shape(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Unset and null mean the same, as in proto3 JSON."""


class Notification(_Shape, frozen=True):
    title: str | None = None
    body: str | None = None
    image: str | None = None


class FcmOptions(_Shape, frozen=True):
    analytics_label: str | None = None


class ApnsFcmOptions(_Shape, frozen=True):
    analytics_label: str | None = None
    image: str | None = None


class WebpushFcmOptions(_Shape, frozen=True):
    analytics_label: str | None = None
    link: str | None = None


class AndroidNotification(_Shape, frozen=True):
    title: str | None = None
    body: str | None = None
    icon: str | None = None
    color: str | None = None
    sound: str | None = None
    tag: str | None = None
    click_action: str | None = None
    body_loc_key: str | None = None
    body_loc_args: list[str] | None = None
    title_loc_key: str | None = None
    title_loc_args: list[str] | None = None
    channel_id: str | None = None
    ticker: str | None = None
    sticky: bool | None = None
    event_time: str | None = None
    local_only: bool | None = None
    notification_priority: str | None = None
    default_sound: bool | None = None
    default_vibrate_timings: bool | None = None
    default_light_settings: bool | None = None
    vibrate_timings: list[str] | None = None
    visibility: str | None = None
    notification_count: int | None = None
    light_settings: dict[str, Any] | None = None
    image: str | None = None
    bypass_proxy_notification: bool | None = None
    proxy: str | None = None


class AndroidConfig(_Shape, frozen=True):
    collapse_key: str | None = None
    priority: str | None = None
    ttl: str | None = None
    restricted_package_name: str | None = None
    data: dict[str, str] | None = None
    notification: AndroidNotification | None = None
    fcm_options: FcmOptions | None = None
    direct_boot_ok: bool | None = None
    bandwidth_constrained_ok: bool | None = None
    restricted_satellite_ok: bool | None = None


class ApnsConfig(_Shape, frozen=True):
    headers: dict[str, str] | None = None
    payload: dict[str, Any] | None = None
    fcm_options: ApnsFcmOptions | None = None
    live_activity_token: str | None = None


class WebpushConfig(_Shape, frozen=True):
    headers: dict[str, str] | None = None
    data: dict[str, str] | None = None
    notification: dict[str, Any] | None = None
    fcm_options: WebpushFcmOptions | None = None


class Message(_Shape, frozen=True):
    name: str | None = None
    data: dict[str, str] | None = None
    notification: Notification | None = None
    android: AndroidConfig | None = None
    android_v2: dict[str, Any] | None = None
    webpush: WebpushConfig | None = None
    apns: ApnsConfig | None = None
    fcm_options: FcmOptions | None = None
    token: str | None = None
    fid: str | None = None
    topic: str | None = None
    condition: str | None = None


class SendRequest(_Shape, frozen=True):
    message: Message | None = None
    validate_only: bool | None = None


def tag_of(message: Message) -> str:
    """The display tag that all platforms share; empty when none is given."""
    android = message.android.notification if message.android else None
    return (android.tag if android else None) or ""
