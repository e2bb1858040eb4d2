"""Builds the anchors that the settings name."""

from __future__ import annotations

from connectors.anchors.base import Anchor
from connectors.anchors.registry import ANCHORS
from lockstep.settings.errors import SettingsError
from lockstep.settings.root import Settings


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


def build_anchor(settings: Settings, name: str) -> Anchor:
    """One anchor of ``[ledger.anchors]``; nothing is connected yet.

    Raises:
        SettingsError: with every option that is unknown, missing or wrong.
    """
    options = settings.anchor_options(name)
    try:
        return ANCHORS[settings.ledger.anchors[name].kind].build(options)
    except ValueError as error:
        raise SettingsError([f"ledger.anchors.{name}.{error}"]) from None
