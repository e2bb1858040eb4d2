"""Builds the anchors that the settings name."""

from __future__ import annotations

from connectors.anchors.base import Anchor
from lockstep.settings import Settings, SettingsError, build_anchor


def build_anchors(settings: Settings) -> dict[str, Anchor]:
    """Every anchor of ``[ledger.anchors]`` by name; nothing is connected yet.

    Raises:
        SettingsError: with every option of any of them that is unknown, missing or wrong.
    """
    anchors: dict[str, Anchor] = {}
    problems: list[str] = []
    for name in sorted(settings.ledger.anchors):
        try:
            anchors[name] = build_anchor(settings, name)
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    return anchors
