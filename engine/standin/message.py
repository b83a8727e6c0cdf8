"""What the stand-in looks at in a message whose names and types were found right by `shape`."""

from __future__ import annotations

import msgspec


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """Names that nobody here looks at are passed over."""


class Notification(_Part, frozen=True):
    title: str | None = None
    body: str | None = None


class AndroidNotification(_Part, frozen=True):
    tag: str | None = None


class AndroidConfig(_Part, frozen=True):
    ttl: str | None = None
    collapse_key: str | None = None
    notification: AndroidNotification | None = None


class AndroidConfigV2(_Part, frozen=True):
    ttl: str | None = None


class Message(_Part, frozen=True):
    data: dict[str, str] | None = None
    notification: Notification | None = None
    android: AndroidConfig | None = None
    android_v2: AndroidConfigV2 | None = None
    token: str | None = None
    fid: str | None = None
    topic: str | None = None
    condition: str | None = None


class SendRequest(_Part, frozen=True):
    message: Message | None = None
    validate_only: bool | None = None


def tag_of(message: Message) -> str:
    """The display tag that all platforms share; empty when none is given."""
    android = message.android.notification if message.android else None
    return (android.tag if android else None) or ""
