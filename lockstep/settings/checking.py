"""Trying out everything that a process will need of the settings, before it starts."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial

from connectors.registry import MANIFESTS
from lockstep.settings.anchors import build_anchor
from lockstep.settings.channels import build_channel
from lockstep.settings.errors import SettingsError
from lockstep.settings.root import Settings


class Part(StrEnum):
    """A process that needs its own part of the settings and no other's secrets."""

    WEB = "web"
    WORKER = "worker"


def check_settings(settings: Settings, *parts: Part) -> list[str]:
    """Everything that validation of the file alone cannot see: secrets, connector options.

    With ``parts``, only what these processes need; without, everything.
    """
    wanted = set(parts or Part)
    checks: list[Callable[[], object]] = [settings.open_keyring, settings.database_url]
    if Part.WORKER in wanted:
        checks += [settings.temporal_address, settings.open_signer, settings.scorecard_receiver]
        checks += [partial(_build, settings, name) for name in settings.connected]
        checks += [partial(build_anchor, settings, name) for name in settings.ledger.anchors]
        checks += [partial(build_channel, settings, name) for name in settings.notices.routes]
    if Part.WEB in wanted:
        checks += [partial(settings.source_secrets, name) for name in settings.sources]
        checks += [settings.token_book, settings.oidc_client, settings.temporal_address]
    # What kind of system each one is stands in the policy; a file of the operator's may say it.
    checks += [partial(settings.manifest, name) for name in settings.connected]
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except SettingsError as error:
            problems.extend(error.problems)
    return list(dict.fromkeys(problems))


def _build(settings: Settings, name: str) -> None:
    options = settings.connector_options(name)
    try:
        MANIFESTS[settings.systems[name].connector].build(options)
    except ValueError as error:
        raise SettingsError([f"systems.{name}: {error}"]) from None
