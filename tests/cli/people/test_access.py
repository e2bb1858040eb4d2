"""`lockstep access` as a person runs it, on a real database."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from lockstep.cli.people.access import access_app
from lockstep.control.people.api_tokens import ApiTokenDesk
from lockstep.control.people.sessions import Identity, Sessions, SignInError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores
from tests.support.casework import EMAIL, TENANT, Casework, termination

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
[database]
mode = "external"
url = "{url}"
[systems.portal]
connector = "manual"
{more}
"""
PROVIDER = """
[oidc]
issuer = "https://id.example.com"
client_id = "x"
[groups.a]
group = "a"
partners = ["*"]
roles = ["viewer"]
"""
WHO = Identity(
    issuer="https://id.example.com",
    subject="s-1",
    name="Olivia [bold]Operator",
    roles=frozenset({Role.OPERATOR}),
    partners=frozenset({"northwind"}),
    keys=(Key(KeyKind.EMAIL, EMAIL),),
)


@dataclass
class Desk:
    """A terminal at an installation."""

    url: str
    config: Path
    ring: Keyring

    def run(self, *words: str) -> Result:
        app = typer.Typer()
        app.add_typer(access_app, name="access")
        return CliRunner().invoke(app, ["access", *words, "--config", str(self.config)])

    def json(self, *words: str):
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def do(self, work):
        """Run ``work(stores)`` beside the commands."""

        async def alone():
            engine = create_engine(self.url)
            try:
                return await work(Stores(engine, self.ring, tenant=TENANT))
            finally:
                await engine.dispose()

        return asyncio.run(alone())

    def sign_in(self) -> str:
        return self.do(lambda stores: Sessions(stores).begin(WHO))

    def whose(self, token: str):
        return self.do(lambda stores: ApiTokenDesk(stores).find(token))


@pytest.fixture
def desk(database, ring, tmp_path) -> Desk:
    ring.save(tmp_path / "keyring.json")
    config = tmp_path / "lockstep.toml"
    config.write_text(SETTINGS.format(url=database.app_url, more=""))
    return Desk(database.app_url, config, ring)


def test_a_token_is_made_listed_and_ended(desk):
    """It is printed once; the list shows everything but the token."""
    made = desk.json("token-new", "grafana", "--role", "viewer", "--partner", "northwind")
    token = made.pop("token")
    who = desk.whose(token)
    assert (who.permissions, who.partners) == ({Permission.SCORE}, {"northwind"})

    [row] = desk.json("tokens")
    assert row["used_at"] is not None
    assert {**row, "used_at": None} == made
    assert token.split("_", 2)[2] not in json.dumps(row)
    expires = datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)
    assert 89 <= expires.days <= 90
    assert desk.run("token-end", row["token_id"]).exit_code == 0
    assert desk.run("token-end", row["token_id"]).exit_code == 1
    assert desk.whose(token) is None


def test_the_plain_output_is_the_token_and_nothing_else(desk):
    """For a script that puts it where it belongs."""
    result = desk.run("token-new", "x", "--permission", "score", "--every-partner", "--days", "1")
    assert desk.whose(result.stdout.strip()).partners is None


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["x", "--role", "viewer"], 2, "--every-partner"),
        (["x", "--role", "viewer", "--partner", "a", "--every-partner"], 2, "--every-partner"),
        (["x", "--every-partner"], 1, "role or a permission"),
        (["x", "--role", "approver", "--every-partner"], 1, "needs a person"),
        (["", "--role", "viewer", "--every-partner"], 1, "label"),
        (["x", "--role", "viewer", "--every-partner", "--days", "400"], 2, "days"),
    ],
)
def test_a_token_that_should_not_be_is_not_made(desk, words, code, says):
    """One line says why."""
    result = desk.run("token-new", *words)
    assert result.exit_code == code
    assert says in result.output
    assert desk.json("tokens") == []


def test_sessions_are_listed_and_ended(desk):
    """By the user's id; names are shown as they are."""
    cookie = desk.sign_in()
    [row] = desk.json("sessions")
    assert (row["name"], row["roles"], row["partners"]) == (WHO.name, ["operator"], ["northwind"])
    assert "[bold]Operator" in desk.run("sessions").output
    assert cookie not in desk.run("sessions").output
    assert "1 session ended" in desk.run("end", row["user_id"]).output
    assert desk.run("end", row["user_id"]).exit_code == 1
    assert desk.json("sessions") == []
    assert "Nobody is signed in" in desk.run("sessions").output


def test_a_bar_is_lifted(desk):
    """With a reason, once."""

    async def leave(stores) -> str:
        work = Casework(stores.engine, desk.ring)
        await work.adopt()
        return (await work.open(termination())).case_id

    case_id = desk.do(leave)
    with pytest.raises(SignInError):
        desk.sign_in()
    assert desk.run("lift", case_id, "--reason", " ").exit_code == 1
    assert desk.run("lift", case_id, "--reason", "hired again").exit_code == 0
    assert desk.run("lift", case_id, "--reason", "hired again").exit_code == 1
    assert desk.sign_in()


@pytest.mark.parametrize(
    "more",
    [
        '[web]\nbind = "0.0.0.0"',
        PROVIDER,
    ],
)
def test_no_link_where_others_could_use_it(desk, more):
    """With a provider, or where other machines reach us: impossible."""
    assert "/console/sign-in/link?key=" in desk.run("link").output
    desk.config.write_text(SETTINGS.format(url=desk.url, more=more))
    result = desk.run("link")

    assert result.exit_code == 1
    assert "only without" in result.output
    assert "key=" not in result.output
