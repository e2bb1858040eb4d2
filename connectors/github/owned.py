"""What stays of somebody who left: deploy keys that they added, and Apps that are theirs."""

from __future__ import annotations

import asyncio
from typing import Final

from connectors.base import ConnectorFault, Transcript
from connectors.github import questions as ask
from connectors.kit.abilities.gaps import gap
from connectors.kit.calls import Api, Call, Listed
from connectors.kit.instants import told_instant
from connectors.kit.pages import Item, LinkHeader, Shape
from connectors.kit.paths import at
from connectors.kit.steps import AT_ONCE, attempt
from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.owned import Belongings, Owned, OwnedKind

MOST_REPOSITORIES: Final = 500
"""Deploy keys are listed for each repository: no more calls than these for one leaver."""
_REPOSITORIES = ask.rest_list(f"{ask.ORG}/repos", "repositories.list", "Metadata")
_KEYS = ask.rest_list(
    "/repos/{organization}/{repository}/keys", "deploy_keys.list", "Administration of repositories"
)
_INSTALLED = Listed(
    Call("GET", f"{ask.ORG}/installations", "installations.list", "Administration"),
    LinkHeader({"per_page": 100}),
    Shape(at=("installations",)),
)
_APP = Call("GET", "/apps/{slug}", "apps.get")

Told = tuple[list[Owned], list[Gap]]


async def belongings(api: Api, account: Account, transcript: Transcript) -> Belongings:
    """Keys and Apps; what cannot be listed is a gap of its kind."""
    told = await asyncio.gather(
        _each(api, OwnedKind.KEY, _REPOSITORIES, account, transcript),
        _each(api, OwnedKind.APP, _INSTALLED, account, transcript),
    )
    things = tuple(thing for found, _ in told for thing in found)
    gaps = dict.fromkeys(one for _, missed in told for one in missed)
    return Belongings(account.id, things, tuple(gaps))


async def _each(
    api: Api, kind: OwnedKind, listed: Listed, account: Account, transcript: Transcript
) -> Told:
    """Ask about each entry of a list."""
    items = await attempt(api.whole(listed, {}, transcript))
    if isinstance(items, ConnectorFault):
        return [], [gap(kind, items)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> list[Owned] | ConnectorFault:
        async with gate:
            of = _keys_of if kind is OwnedKind.KEY else _app_of
            return await attempt(of(api, item, account, transcript))

    told = await asyncio.gather(*map(one, items[:MOST_REPOSITORIES]))
    found = [thing for one in told if not isinstance(one, ConnectorFault) for thing in one]
    gaps = [gap(kind, one) for one in told if isinstance(one, ConnectorFault)]
    if len(items) > MOST_REPOSITORIES:
        operation = listed.call.operation
        gaps.append(Gap(kind, FaultCategory.MISCONFIGURED, operation, "too_many_to_ask_each"))
    return found, gaps


async def _keys_of(
    api: Api, repository: Item, account: Account, transcript: Transcript
) -> list[Owned]:
    keys = await api.whole(_KEYS, {"repository": str(repository.get("name"))}, transcript)
    login = account.locator.casefold()
    return [
        Owned(
            OwnedKind.KEY,
            str(key["id"]),
            name=f"{repository.get('name')}: {key.get('title')}",
            created_at=told_instant(key.get("created_at")),
            last_used_at=told_instant(key.get("last_used")),
        )
        for key in keys
        if login and str(key.get("added_by") or "").casefold() == login
    ]


async def _app_of(
    api: Api, installed: Item, account: Account, transcript: Transcript
) -> list[Owned]:
    slug = str(installed.get("app_slug"))
    app = (await api.probe(_APP, {"slug": slug}, transcript)).data
    if str(at(app, ("owner", "id"))) != account.id:
        return []
    created = told_instant(at(app, ("created_at",)))
    return [Owned(OwnedKind.APP, str(at(app, ("id",))), name=slug, created_at=created)]
