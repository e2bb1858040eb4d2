"""The tables of the settings about signing in."""

from __future__ import annotations

import json

import pytest

from connectors.openid.client import Client
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.settings import Part, SettingsError, check_settings, load_settings

BASE = """
tenant = "acme"
keyring = "file:keyring.json"
[systems.portal]
connector = "manual"
"""
PROVIDER = """
[oidc]
issuer = "https://id.example.com/tenant/"
client_id = "lockstep"
client_secret = "env:LOCKSTEP_TEST_OIDC"
"""
GROUP = """
[groups.ops]
group = "lockstep-operators"
roles = ["operator"]
partners = ["northwind"]
sealed = true
"""


@pytest.fixture
def load(tmp_path, ring):
    ring.save(tmp_path / "keyring.json")

    def loaded(text: str):
        (tmp_path / "lockstep.toml").write_text(BASE + text)
        return load_settings(tmp_path / "lockstep.toml")

    return loaded


def test_groups_give_roles_partners_and_rights(load):
    """As signing in reads them; a star is every partner."""
    settings = load(
        PROVIDER + GROUP + '[groups.all]\ngroup = "a"\npartners = ["*"]\nroles = ["hr"]'
    )
    reading = settings.oidc.to_reading(settings.groups.values())
    ops, everybody = reading.groups

    assert (ops.name, ops.roles, ops.partners) == (
        "lockstep-operators",
        {Role.OPERATOR},
        {"northwind"},
    )
    assert ops.more == {Permission.SEALED}
    assert (everybody.partners, everybody.more) == (None, frozenset())
    assert reading.keys == {KeyKind.EMAIL: "email", KeyKind.USERNAME: "preferred_username"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PROVIDER, "groups"),
        (PROVIDER.replace("https", "http") + GROUP, "https"),
        (PROVIDER.replace("https://id", "https://me:secret@id") + GROUP, "credentials"),
        (PROVIDER + 'scopes = ["profile"]\n' + GROUP, "openid"),
        (PROVIDER + "keys = {}\n" + GROUP, "at least one claim"),
        (PROVIDER + 'keys = {account_id = "sub"}\n' + GROUP, "at least one claim"),
        (PROVIDER.replace("env:LOCKSTEP_TEST_OIDC", "hunter2") + GROUP, "env:NAME"),
        (PROVIDER + GROUP.replace('["northwind"]', '["*", "northwind"]'), "alone"),
        (PROVIDER + GROUP.replace('["northwind"]', "[]"), "partners"),
        (PROVIDER + GROUP.replace('["northwind"]', '[" "]'), "has a name"),
        (PROVIDER + GROUP.replace('operator"]', 'king"]'), "roles"),
        ('[console]\norigin = "http://lockstep.example.com"', "https"),
        ('[console]\norigin = "https://lockstep.example.com/console"', "scheme, host and port"),
        ('[console]\nlifetime = "48h"', "lifetime"),
    ],
)
def test_what_would_be_unsafe_or_useless_is_refused(load, text, says):
    """Naming the key; a secret is never quoted."""
    with pytest.raises(SettingsError) as refused:
        load(text)

    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "me:secret" not in str(refused.value)


def test_a_missing_secret_is_found_before_anybody_signs_in(load, monkeypatch):
    """By whoever checks what the web process needs; without one, the client is a public one."""
    settings = load(PROVIDER + GROUP)
    problems = check_settings(settings, Part.WEB)
    assert any("oidc.client_secret" in problem for problem in problems)
    monkeypatch.setenv("LOCKSTEP_TEST_OIDC", "s3cret")
    assert check_settings(settings, Part.WEB) == []
    assert settings.oidc_client() == Client("lockstep", "s3cret")
    public = PROVIDER.replace('client_secret = "env:LOCKSTEP_TEST_OIDC"', "")
    assert load(public + GROUP).oidc_client() == Client("lockstep")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('client_auth = "private_key_jwt"', "private_key_jwt needs client_key"),
        ('client_auth = "none"', "leave client_secret and client_key out"),
        ('client_key = "file:no.pem"', "no private RSA or EC key"),
    ],
)
def test_what_the_client_is_must_fit_together(load, tmp_path, monkeypatch, more, says):
    """And is said before anybody tries to sign in, without a secret in it."""
    monkeypatch.setenv("LOCKSTEP_TEST_OIDC", "s3cret")
    (tmp_path / "no.pem").write_text("hunter2")
    [problem] = check_settings(load(PROVIDER + more + GROUP), Part.WEB)

    assert problem.startswith("oidc.client_")
    assert says in problem
    assert "s3cret" not in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("", True),
        ('[web]\nbind = "::1"', True),
        ('[web]\nbind = "0.0.0.0"', False),
        ('[web]\nbind = "10.0.0.7"', False),
        (PROVIDER + GROUP, False),
    ],
)
def test_links_are_for_an_evaluation_on_one_machine(load, text, links):
    """Not once there is a provider, nor where others reach it."""
    assert load(text).one_time_links is links


@pytest.mark.parametrize("proxies", [["10.0.0.5"], ["10.0.0.0/28", "2001:db8::/64"], []])
def test_proxies_are_named(load, proxies):
    """Whom they say asks is believed."""
    assert load(f"[web]\nproxies = {json.dumps(proxies)}").web.proxies == proxies


@pytest.mark.parametrize("proxies", [["*"], ["proxy.example.com"], ["0.0.0.0/0"], ["10.0.0.5/8"]])
def test_not_everybody_is_a_proxy(load, proxies):
    """Then anybody could say that they come from anywhere."""
    with pytest.raises(SettingsError, match="proxies"):
        load(f"[web]\nproxies = {json.dumps(proxies)}")
