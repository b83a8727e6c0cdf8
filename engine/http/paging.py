"""Lists by page: an opaque cursor, and a `next` link that carries it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from engine.http.call import Call
from engine.http.problems import Fault, Problem


def after(call: Call) -> int:
    """The id that the page begins after; raise `Problem` for a cursor that is not ours."""
    if call.query.cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(call.query.cursor.encode("ascii")).decode("ascii")
        if text.startswith("after:") and text[6:].isdigit() and len(text) <= 24:
            return int(text[6:])
    except (ValueError, binascii.Error):
        pass
    raise Problem("invalid", errors=[Fault("value", "take the cursor from the next link", "cursor")])


def next_link(call: Call, ids: Sequence[int]) -> str | None:
    """The link to the following page; None on the last. *ids* are those of this page, ascending."""
    if len(ids) < call.query.limit:
        return None
    cursor = base64.urlsafe_b64encode(f"after:{ids[-1]}".encode()).decode()
    parts: dict[str, Any] = {"limit": call.query.limit, "cursor": cursor}
    if call.query.retailer is not None:
        parts["retailer"] = call.query.retailer
    return f"{call.scope['path']}?{urlencode(parts)}"
