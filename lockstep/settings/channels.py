"""Builds the channels by which people are told of things, as the settings name them."""

from __future__ import annotations

from connectors.channel import Channel
from lockstep.settings.errors import SettingsError
from lockstep.settings.root import Settings


def build_channel(settings: Settings, name: str) -> Channel:
    """The address of one of ``[notices.routes]``; nothing is sent yet.

    Raises:
        SettingsError: if it cannot be read or used; never quotes it.
    """
    key = f"notices.routes.{name}.url"
    address = settings.secret(settings.notices.routes[name].url, key=key)
    try:
        return Channel(address)
    except ValueError as error:
        raise SettingsError([f"{key}: {error}"]) from None
