"""The rules of visits, as the settings have them."""

from __future__ import annotations

from engine.settings import Settings
from geo.records import Rules
from geo.units import MS_PER_S


def rules_of(settings: Settings) -> Rules:
    """What `geo.transitions` judges fixes by."""
    return Rules(
        arrival_accuracy_m=settings.fence_accuracy_m,
        margin_m=settings.fence_margin_m,
        rim_m=settings.fence_rim_m,
        rim_share=settings.fence_rim_share,
        silent_ms=settings.fence_silent_s * MS_PER_S,
        evidence_ms=settings.fence_evidence_s * MS_PER_S,
        speed_m_s=settings.fence_speed_m_s,
    )
