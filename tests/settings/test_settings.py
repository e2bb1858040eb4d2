"""Settings: a wrong file is answered with key, reason and remedy, and never with a secret."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.registry import MANIFESTS
from lockstep.domain.policy import Policy
from lockstep.domain.systems.pace import Limit
from lockstep.evidence.format.notes import FileSigner
from lockstep.settings import Settings, SettingsError, check_settings, load_settings
from lockstep.storage.keys.keyring import Keyring

SECRET = "hunter2-this-must-never-be-shown"
HOOK_SECRET = "whsec_" + base64.b64encode(SECRET.encode()).decode()
GOOD = """
tenant = "acme"
keyring = "file:keyring.json"

[ledger]
key = "file:ledger.key"

[sources.hr]
secrets = ["env:TEST_HR_SECRET"]

[systems.okta-prod]
connector = "okta"
tier = "0"
base_url = "https://example.okta.com"
token = "env:TEST_OKTA_TOKEN"

[systems.badge]
connector = "manual"
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a good keyring and good secrets in the environment."""
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "ledger.key").write_text(FileSigner.generate("acme/lockstep-ledger").to_text())
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_text(SECRET * 4000)
    (tmp_path / "bad-keyring").write_text(f'{{"current": "{SECRET}"}}')
    monkeypatch.setenv("TEST_HR_SECRET", HOOK_SECRET)
    monkeypatch.setenv("TEST_OKTA_TOKEN", SECRET)
    monkeypatch.setenv("TEST_EMPTY", "")
    return tmp_path


def write(place: Path, text: str = GOOD) -> Path:
    path = place / "lockstep.toml"
    path.write_text(text)
    return path


def problems(path: Path) -> list[str]:
    """Everything that `lockstep doctor` would say about a file."""
    try:
        return check_settings(load_settings(path))
    except SettingsError as error:
        return error.problems


@dataclass(frozen=True)
class Row:
    """One error: what is changed in the good file, and what its one line must say."""

    what: str
    old: str
    new: str
    key: str
    reason: str
    fix: str
    env: dict[str, str] = field(default_factory=dict)


OKTA = "[systems.okta-prod]"
TOKEN = 'token = "env:TEST_OKTA_TOKEN"'
KEYRING = 'keyring = "file:keyring.json"'
HOOK = 'secrets = ["env:TEST_HR_SECRET"]'
LITERAL = f'"{SECRET}"'
ROWS = [
    # Names and spelling
    Row("unknown connector", '"okta"', '"octa"', "systems.okta-prod", "connector: there is none",
        f"known are {', '.join(sorted([*MANIFESTS, 'manual']))}"),
    Row("unknown key", "tenant =", "tennant = 1\ntenant =", "tennant", "unknown key", "spelling"),
    Row("unknown key in a table", OKTA, "[web]\nprot = 1\n" + OKTA, "web.prot", "unknown key",
        "spelling"),
    Row("no vendor's port", OKTA, "[sandbox]\nokto_port = 1\n" + OKTA, "sandbox", "okto_port",
        "okta_port"),
    Row("no port", OKTA, "[sandbox]\nokta_port = 0\n" + OKTA, "sandbox.okta_port", "greater", "1"),
    Row("missing key", 'tenant = "acme"', "", "tenant", "missing", "lockstep init"),
    Row("no systems", GOOD[GOOD.index(OKTA):], "", "systems", "none is configured",
        "uncomment one"),
    Row("bad tenant", '"acme"', '"ACME Inc."', "tenant", "pattern", "a-z"),
    Row("bad system id", OKTA, '[systems."Okta Prod"]', "systems.Okta Prod", "use a-z",
        "40 at most"),
    Row("system id with a line break", OKTA, '[systems."okta\\n"]', "systems.okta", "use a-z",
        "40 at most"),
    Row("bad source name", "[sources.hr]", '[sources."HR!"]', "sources.HR!", "use a-z",
        "40 at most"),
    Row("our own source name", "[sources.hr]", "[sources.cli]", "sources.cli", "is our own",
        "choose another"),
    Row("bad tier", 'tier = "0"', 'tier = "2"', "systems.okta-prod.tier",
        "Input should be", "'0', '1' or 'manual'"),
    Row("bad duration", 'tier = "0"', 'timeout = "soon"', "systems.okta-prod.timeout",
        "a duration is written like", '"90s"'),
    Row("no time at all", OKTA, '[policy.sla.involuntary]\n0 = "0s"\n' + OKTA,
        "policy.sla.involuntary.0", "in no time at all", "give 1s or more"),
    Row("bad number", OKTA, "[web]\nport = 99999\n" + OKTA, "web.port", "less than or equal to",
        "65535"),
    Row("bad choice", OKTA, '[log]\nlevel = "loud"\n' + OKTA, "log.level", "Input should be",
        "'debug', 'info', 'warning' or 'error'"),
    Row("external database without a URL", OKTA, '[database]\nmode = "external"\n' + OKTA,
        "database", "url is needed", "env:NAME, file:PATH or a URL"),
    # Options of a connector
    Row("unknown option", TOKEN, TOKEN + "\nbase_ulr = 1", "systems.okta-prod.base_ulr",
        "okta has no such option", "use access_token_s"),
    Row("missing option", 'base_url = "https://example.okta.com"', "",
        "systems.okta-prod.base_url", "missing", "https://example.okta.com"),
    Row("missing secret", TOKEN, "", "systems.okta-prod.token", "missing", "API token"),
    Row("option out of its choices", TOKEN, TOKEN + '\ndisable = "delete"',
        "systems.okta-prod.disable", "must be one of", "deactivate, suspend"),
    Row("option that the connector refuses", '"https://example.okta.com"', '"http://example.com"',
        "systems.okta-prod", "base_url", "https"),
    # Secrets
    Row("literal secret", TOKEN, "token = " + LITERAL, "systems.okta-prod.token",
        "never as its value", "env:NAME or file:PATH"),
    Row("literal hook secret", HOOK, f"secrets = [{LITERAL}]", "sources.hr.secrets.0",
        "never as its value", "env:NAME or file:PATH"),
    Row("literal keyring", KEYRING, "keyring = " + LITERAL, "keyring", "never as its value",
        "env:NAME or file:PATH"),
    Row("literal API key", OKTA, f"[temporal]\napi_key = {LITERAL}\n" + OKTA, "temporal.api_key",
        "never as its value", "env:NAME or file:PATH"),
    Row("variable not set", TOKEN, 'token = "env:TEST_NOWHERE"', "systems.okta-prod.token",
        "the environment variable TEST_NOWHERE is not set", "set it"),
    Row("variable empty", TOKEN, 'token = "env:TEST_EMPTY"', "systems.okta-prod.token",
        "the environment variable TEST_EMPTY is not set", "set it"),
    Row("file missing", TOKEN, 'token = "file:nowhere"', "systems.okta-prod.token",
        "No such file", "create it"),
    Row("file is a folder", TOKEN, 'token = "file:."', "systems.okta-prod.token",
        "Is a directory", "create it"),
    Row("file empty", TOKEN, 'token = "file:empty"', "systems.okta-prod.token",
        "is empty or too large", "put the secret in it"),
    Row("file too large", TOKEN, 'token = "file:large"', "systems.okta-prod.token",
        "is empty or too large", "put the secret in it"),
    Row("file not text", TOKEN, 'token = "file:binary"', "systems.okta-prod.token", "not text",
        "create it"),
    Row("hook secret missing", HOOK, 'secrets = ["env:TEST_NOWHERE"]', "sources.hr.secrets",
        "is not set", "set it"),
    Row("hook secret too weak", HOOK, 'secrets = ["env:TEST_WEAK"]', "sources.hr.secrets",
        "24 to 64 bytes", "whsec_", {"TEST_WEAK": "whsec_aHVudGVyMg=="}),
    Row("no hook secret", HOOK, "secrets = []", "sources.hr.secrets", "at least 1 item", "1"),
    Row("three hook secrets", HOOK, 'secrets = ["env:A", "env:B", "env:C"]', "sources.hr.secrets",
        "at most 2 items", "2"),
    Row("bad keyring", KEYRING, 'keyring = "file:bad-keyring"', "keyring",
        "not what `lockstep init` writes", "restore it from your backup"),
    Row("keyring missing", KEYRING, 'keyring = "file:nowhere"', "keyring", "No such file",
        "create it"),
    Row("database secret missing", OKTA,
        '[database]\nmode = "external"\nurl = "env:TEST_NOWHERE"\n' + OKTA, "database.url",
        "is not set", "set it"),
    # The environment
    Row("bad value in the environment", "", "", "web.port", "valid integer", "integer",
        {"LOCKSTEP_WEB__PORT": SECRET}),
    Row("literal secret in the environment", "", "", "keyring", "never as its value",
        "env:NAME or file:PATH", {"LOCKSTEP_KEYRING": SECRET}),
    Row("not JSON in the environment", "", "", 'field "web"', "error parsing value",
        "LOCKSTEP_WEB__PORT",
        {"LOCKSTEP_WEB": SECRET}),
    # The file
    Row("invalid TOML", "tenant =", "tenant = = ", "lockstep.toml", "line 2", "cannot be read"),
]  # fmt: skip


def test_the_good_file_is_good(place):
    """The file that the table changes has no problem of its own."""
    assert problems(write(place)) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_an_error_names_key_reason_and_remedy(place, monkeypatch, row: Row):
    """One wrong thing gives one line that a person can act on, without any secret's value."""
    for name, value in row.env.items():
        monkeypatch.setenv(name, value)
    assert row.old in GOOD
    text = GOOD.replace(row.old, row.new, 1) if row.old else GOOD
    found = problems(write(place, text))

    assert len(found) == 1, found
    [line] = found
    assert row.key in line
    assert row.reason in line
    assert row.fix in line
    for secret in (SECRET, HOOK_SECRET, "hunter2", "aHVudGVy"):
        assert secret not in line


def test_all_problems_are_told_at_once(place):
    """A person does not fix a file one error at a time."""
    text = GOOD.replace(TOKEN, 'token = "env:TEST_NOWHERE"').replace(HOOK, 'secrets = ["file:no"]')

    assert len(problems(write(place, text))) == 2


def test_no_file_names_the_command_that_writes_one(tmp_path):
    """The first thing a newcomer sees is what to do."""
    with pytest.raises(SettingsError, match=r"elsewhere\.toml: there is no .*`lockstep init`"):
        load_settings(tmp_path / "elsewhere.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    """A binary file is an error of ours, not a stack trace."""
    (tmp_path / "lockstep.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "lockstep.toml")


def test_the_environment_wins_over_the_file(place, monkeypatch):
    """Each single value can be set from outside, nested ones with two underscores."""
    path = write(place, GOOD + '\n[web]\nport = 1\nbind = "0.0.0.0"\n')
    monkeypatch.setenv("LOCKSTEP_WEB__PORT", "9999")
    monkeypatch.setenv("LOCKSTEP_TENANT", "other")
    monkeypatch.setenv("LOCKSTEP_DATABASE__URL", "postgresql://elsewhere/db")
    settings = load_settings(path)

    assert (settings.web.port, settings.web.bind) == (9999, "0.0.0.0")
    assert (settings.tenant, settings.database_url()) == ("other", "postgresql://elsewhere/db")


def test_the_files_place_can_come_from_the_environment(place, monkeypatch):
    """LOCKSTEP_CONFIG names the file where no option does."""
    monkeypatch.setenv("LOCKSTEP_CONFIG", str(write(place)))

    assert load_settings().tenant == "acme"


def test_paths_are_relative_to_the_file(place, monkeypatch, tmp_path_factory):
    """A file works from every working directory."""
    path = write(place)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    settings = load_settings(path)

    assert settings.path(Path("x")) == place / "x"
    assert settings.open_keyring().current == "k1"


def test_settings_know_their_file(place, monkeypatch):
    """Absolute, so that a process that we start elsewhere reads the same."""
    file = write(place)
    monkeypatch.chdir(file.parent)
    assert load_settings(Path(file.name)).file == file.resolve()


def test_a_secret_loses_its_line_end(place):
    """Files end with a line break; secrets do not."""
    (place / "token").write_text("abc\n")

    assert load_settings(write(place)).secret("file:token", key="x") == "abc"


def test_the_policy_follows_the_file(place):
    """Tiers, SLAs and end of day arrive in the policy that cases are pinned to."""
    text = GOOD + '\n[policy]\nend_of_day = "17:30"\n[policy.sla.involuntary]\n0 = "30m"\n'
    policy = load_settings(write(place, text)).to_policy()
    tiers = {system.system: system.tier.value for system in policy.systems}

    assert tiers == {"badge": "manual", "okta-prod": "0"}
    assert policy.cutoff.end_of_day.isoformat() == "17:30:00"
    assert policy.as_document()["sla_s"]["involuntary.0"] == 1800


TWO = GOOD + '[sources.hr-b]\nsecrets = ["env:TEST_HR_SECRET"]\n'


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ('["hr", "hr-b"]', [["hr", "hr-b"]]),
        ('[["hr-b", "hr"]]', [["hr", "hr-b"]]),
        ("[]", None),
    ],
)
def test_sources_that_number_the_same_people_are_policy(place, written, groups):
    """One group may stand as a plain list; without any the policy is as it always was."""
    settings = load_settings(write(place, f"{TWO}[policy]\nsame_people = {written}\n"))
    document = settings.to_policy().as_document()

    assert document.get("same_people") == groups
    assert Policy.from_document(document).same_people == tuple(map(tuple, groups or ()))
    assert settings.numbering().shares("hr") is bool(groups)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('["hr", "hr-c"]', "policy.same_people: no such source: hr-c"),
        ('["hr"]', "two sources at least"),
        ('["hr", "hr"]', "in one group, once: hr"),
        ('[["hr", "hr-b"], ["hr", "hr-b"]]', "in one group, once: hr, hr-b"),
        ('"hr"', "list"),
        ('[["hr", "hr-b"], "hr"]', "list"),
    ],
)
def test_groups_of_sources_that_cannot_be_are_refused(place, written, says):
    """They name sources, two at least, and none twice."""
    with pytest.raises(SettingsError, match=says):
        load_settings(write(place, f"{TWO}[policy]\nsame_people = {written}\n"))


KISI = """
[systems.door]
connector = "kisi"
api_key = "env:DOOR_KEY"
"""


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("", Limit(5)),
        ('limit = "none"', None),
        ('limit = "100/min"', Limit(100, 60.0)),
        ("requests_per_second = 3", Limit(3)),
        ("requests_per_second = 0", None),
        ("at_once = 4", Limit(5, at_once=4)),
        ('limit = "none"\nat_once = 4', Limit(0, at_once=4)),
    ],
)
def test_a_systems_limit_is_the_documented_one_unless_written(place, monkeypatch, written, limit):
    """Where the settings say nothing, the vendor's documentation does."""
    monkeypatch.setenv("DOOR_KEY", "k")
    settings = load_settings(write(place, GOOD + KISI + written + "\n"))

    assert settings.systems["door"].to_limit() == limit


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('limit = "fast"', "systems.door.limit.*5/s"),
        ("requests_per_second = -1", "requests_per_second: a whole number"),
        ("at_once = -1", "systems.door.at_once"),
    ],
)
def test_a_limit_that_is_none_is_refused(place, written, says):
    """With the name of the option, and how one is written."""
    with pytest.raises(SettingsError, match=says):
        load_settings(write(place, GOOD + KISI + written + "\n"))


def test_systems_with_one_credential_share_a_budget(place, monkeypatch):
    """The vendor counts by credential, not by the names that we give to systems."""
    monkeypatch.setenv("DOOR_KEY", "k")
    monkeypatch.setenv("GATE_KEY", "g")
    same = KISI.replace("systems.door", "systems.yard")
    other = KISI.replace("systems.door", "systems.gate").replace("DOOR_KEY", "GATE_KEY")
    settings = load_settings(write(place, GOOD + KISI + same + other))

    budgets = settings.budgets()
    assert {name: budgets[name] for name in ("door", "gate", "yard")} == {
        "door": "door",
        "gate": "gate",
        "yard": "door",
    }


def test_printed_settings_show_no_secret(place, monkeypatch):
    """Neither the settings nor a connector's options show a resolved secret or a database URL."""
    monkeypatch.setenv("LOCKSTEP_DATABASE__URL", f"postgresql://u:{SECRET}@h/db")
    settings = load_settings(write(place))
    options = settings.connector_options("okta-prod")

    assert options.secrets["token"] == SECRET
    assert SECRET not in repr(settings) + repr(options)


@pytest.mark.parametrize("kind", sorted(MANIFESTS))
def test_no_connector_quotes_its_secrets_when_it_refuses_them(place, monkeypatch, kind):
    """A secret of the wrong shape is refused, if at all, without being shown."""
    lines = [f"\n[systems.x]\nconnector = {kind!r}"]
    for spec in MANIFESTS[kind].options:
        if spec.secret:
            monkeypatch.setenv(f"X_{spec.name.upper()}", SECRET + "\u00fc \x01")
            lines.append(f'{spec.name} = "env:X_{spec.name.upper()}"')
        elif spec.required:
            lines.append(f'{spec.name} = "https://example.com"')
    text = "\n".join(problems(write(place, GOOD + "\n".join(lines) + "\n")))

    assert SECRET not in text


OPEN = {"SystemTable", "AnchorTable", "SandboxTable"}
"""Whose keys are those of a vendor or of a kind of anchor: they check them themselves."""


def test_settings_is_closed():
    """Every table refuses keys that it does not know: a misspelt key is never ignored."""
    seen = set()

    def walk(model) -> None:
        if model in seen:
            return
        seen.add(model)
        for item in model.model_fields.values():
            for part in [item.annotation, *getattr(item.annotation, "__args__", ())]:
                if hasattr(part, "model_config"):
                    assert part.model_config.get("extra") == (
                        "allow" if part.__name__ in OPEN else "forbid"
                    ), part
                    walk(part)

    walk(Settings)
    assert len(seen) > 5


@pytest.mark.parametrize(
    ("bound", "listed", "apart"),
    [
        ('partners = ["a", "b"]', [], {"hr": {"a", "b"}}),
        ('partners = ["a"]', [], {}),
        ("", ["a", "b"], {"hr": {"a", "b"}}),
        ('partners = ["a", "b"]', ["a", "b", "c"], {"hr": {"a", "b"}}),
        ("", [], {}),
    ],
)
def test_partners_of_one_source_are_counted_apart_where_they_are_named(place, bound, listed, apart):
    """By the source itself, or by policy; where one alone can be meant there is nothing apart."""
    text = GOOD.replace("[sources.hr]\n", f"[sources.hr]\n{bound}\n")
    settings = load_settings(write(place, text))
    settings.policy.partners[:] = listed
    assert settings.counted_apart() == apart


def test_a_source_speaks_for_the_partners_and_sites_that_it_is_given(place):
    """Left out, for everybody's; names stand as events have to give them."""
    bound = 'partners = ["Northwind  BPO"]\nsites = ["Cebu", "Manila 2"]\n'
    settings = load_settings(write(place, GOOD.replace(HOOK, f"{HOOK}\n{bound}")))

    remit = settings.remits()["hr"]
    assert remit.covers("Northwind BPO", "Cebu")
    assert not remit.covers("Contoso", "Cebu")
    assert not remit.covers("Northwind BPO", "")
    assert "Northwind BPO" in settings.partners
    assert not load_settings(write(place)).remits()["hr"].is_bound


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("partners = []", "sources.hr.partners"),
        ('partners = [""]', "sources.hr.partners"),
        ('partners = ["North\\u200bwind"]', "cannot be seen"),
        ('sites = ["\\uff2dANILA"]', "stands for"),
        ('partners = ["N\\u043erthwind"]', "look alike"),
    ],
)
def test_a_source_is_not_bound_to_a_name_that_nobody_can_read(place, written, says):
    """Nor to nobody at all."""
    assert says in "; ".join(problems(write(place, GOOD.replace(HOOK, f"{HOOK}\n{written}"))))


LISTED = '[policy]\npartners = ["Northwind", "Contoso"]\nsites = ["Cebu"]\n'


def test_partners_and_sites_are_listed_and_pin_nothing(place):
    """A partner's pack holds the pinned policy: it must not name the others."""
    settings = load_settings(write(place, GOOD + LISTED))
    assert settings.place_list().partners == ("Northwind", "Contoso")
    assert settings.to_policy() == load_settings(write(place)).to_policy()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (HOOK, f'{HOOK}\npartners = ["Fabrikam"]', "policy.partners: other tables name"),
        (HOOK, f'{HOOK}\nsites = ["Davao"]', "policy.sites: other tables name"),
        ('"Contoso"', '"northwind"', "look alike"),
        ('"Contoso"', '"Northwind"', "look alike"),
        ('"Contoso"', '"N\\u00f3rthwind"', "look alike"),
        ('"Contoso"', '"Con\\u200btoso"', "cannot be seen"),
    ],
)
def test_a_list_of_partners_is_one_that_people_can_read(place, old, new, says):
    """No two that look alike, and no other table knows more of them."""
    assert says in "; ".join(problems(write(place, (GOOD + LISTED).replace(old, new))))
