"""One line of the doctor's answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """A verdict and a sentence that says what to do unless it is ok."""

    verdict: Verdict
    says: str


Findings = AsyncIterator[Finding]
