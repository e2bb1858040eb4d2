"""What the rows of products change: how a door is shut, what is asked, and how fast."""

from __future__ import annotations

import pytest

from connectors.base import ConnectorOptions, Transcript
from connectors.scim.connector import MANIFEST, ScimConnector
from connectors.scim.dialects import ANY, DIALECTS
from lockstep.domain.systems.pace import Limit
from lockstep.settings.tables import SystemTable
from tests.connectors.dialogue import Turn
from tests.connectors.revoking import revoke
from tests.connectors.scim.odd import OddScim, connected, located, person
from tests.connectors.scim.script import (
    ACCOUNT,
    SIGN_IN,
    keys,
    patched,
    reads,
    standing,
    talking,
)

NO_PATH = patched(op="replace", value={"active": False})
WITH_PATH = patched(op="replace", path="active", value=False)


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        ({}, WITH_PATH),
        ({"dialect": "github-emu"}, NO_PATH),
        ({"dialect": "github-emu", "profile": None}, NO_PATH),
        ({"dialect": "github-emu", "profile": "rfc"}, WITH_PATH),
        ({"dialect": "slack", "profile": "no-path"}, NO_PATH),
    ],
)
async def test_a_product_is_told_as_it_documents(settings: dict[str, object], body: object) -> None:
    """The row says how active=false is written, unless the settings do."""
    told = Turn("PATCH /v2/Users/u1", 204, body=body)
    async with talking(reads(), told, **settings) as connector:
        assert await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())


@pytest.mark.parametrize("word", [word for word in DIALECTS if word != ANY])
async def test_a_product_says_what_is_not_verified(word: str) -> None:
    """Each row rests on documents, and health tells what nobody has tried; that blocks nothing."""
    row = DIALECTS[word]
    assert row.sources
    assert all(one.startswith("https://") for one in row.sources)
    async with connected(OddScim([person()]), dialect=word) as connector:
        health = await connector.health(Transcript())

    assert health.is_ready
    [problem] = [one for one in health.problems if one.code == "dialect_not_verified"]
    assert all(each in problem.summary for each in row.unverified)


def test_what_is_for_good_is_refused() -> None:
    """Where DELETE takes an account away for good, the settings say so before the first call."""
    settings = {"base_url": "https://x.test", "dialect": "github-emu", "disable": "delete"}
    with pytest.raises(ValueError, match=r"^disable: .*deactivate"):
        ScimConnector(ConnectorOptions("s", settings, {"token": "t"}))


async def test_only_documented_filters_are_sent() -> None:
    """A key in another attribute is looked for in a list of everybody, and found."""
    server = OddScim([person(name="asantos", emails=["ann@example.test"]), person("u2", "bob")])
    location = await located(server, keys(email="ann@example.test"), dialect="atlassian")
    filters = [query["filter"] for _, _, query in server.calls if "filter" in query]

    assert [match.account.id for match in location.matches] == ["u1"]
    assert not [one for one in filters if one.startswith("emails")]


def test_a_product_has_its_own_limit() -> None:
    """What a product documents is kept to; the settings of the system win."""
    assert MANIFEST.limit_in({}) is None
    assert MANIFEST.limit_in({"dialect": "slack"}) == Limit(300, 60)
    slack = SystemTable.model_validate({"connector": "scim", "dialect": "slack"})
    faster = SystemTable.model_validate({"connector": "scim", "dialect": "slack", "limit": "9/s"})

    assert (slack.to_limit(), faster.to_limit()) == (Limit(300, 60), Limit(9))
