"""Settings of the score and of the API: what is refused, and that no secret is shown."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from lockstep.control.people.tokens import Tokens
from lockstep.domain.rights import Permission
from lockstep.evidence.format.notes import FileSigner
from lockstep.scorecard.dimension import DEFAULT_WEIGHTS
from lockstep.scorecard.penalties import Terms
from lockstep.settings import Part, Settings, SettingsError, check_settings, load_settings
from lockstep.storage.keys.keyring import Keyring

TOKEN = "reader-of-the-score-0123456789abcdef"
OTHER = "loader-of-reports-0123456789abcdef00"
SECRET = "whsec_" + base64.b64encode(b"the scorecard's secret ........").decode()
BASE = """
tenant = "acme"
keyring = "file:keyring.json"
[ledger]
key = "file:ledger.key"
[systems.badge]
connector = "manual"
"""
TOKENS = """
[tokens.grafana]
secret = "env:TEST_TOKEN"
rights = ["score"]
[tokens.lms]
secret = "env:TEST_OTHER"
rights = ["report", "export"]
"""
SCORECARD = """
[scorecard]
url = "https://scorecard.example/hooks/people"
secret = "env:TEST_SCORECARD"
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch):
    """Load the base with more tables."""
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "ledger.key").write_text(FileSigner.generate("acme/lockstep-ledger").to_text())
    monkeypatch.setenv("TEST_TOKEN", TOKEN)
    monkeypatch.setenv("TEST_OTHER", OTHER)
    monkeypatch.setenv("TEST_SCORECARD", SECRET)

    def with_(more: str = "") -> Settings:
        (tmp_path / "lockstep.toml").write_text(BASE + more)
        return load_settings(tmp_path / "lockstep.toml")

    return with_


def test_tokens_are_read_with_their_rights(load):
    """By name; without the table there is none."""
    book = load(TOKENS).token_book()

    assert {name: rights for name, (_, rights) in book.items()} == {
        "grafana": {Permission.SCORE},
        "lms": {Permission.REPORT, Permission.EXPORT},
    }
    assert Tokens(book).check(f"Bearer {OTHER}", Permission.EXPORT).name == "lms"
    assert load().token_book() == {}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("short-token", "tokens.grafana.secret: shorter than 32 characters"),
        ("with a blank " + "x" * 40, "tokens.grafana.secret: holds a blank"),
        ("x" * 600, "tokens.grafana.secret: longer than 512 characters"),
        (OTHER, "tokens.lms.secret: the same as that of grafana"),
        ("", "tokens.grafana.secret: the environment variable TEST_TOKEN is not set"),
    ],
)
def test_a_bad_token_stops_the_web_process_and_is_not_quoted(load, monkeypatch, value, says):
    """Before it serves anything; the worker needs no token and starts."""
    monkeypatch.setenv("TEST_TOKEN", value)
    settings = load(TOKENS)
    problems = check_settings(settings, Part.WEB)

    assert any(problem.startswith(says) for problem in problems), problems
    assert not value or not any(value in problem for problem in problems)
    assert check_settings(settings, Part.WORKER) == []


@pytest.mark.parametrize(
    "table",
    [
        '[tokens.x]\nsecret = "env:TEST_TOKEN"\nrights = []',
        '[tokens.x]\nsecret = "env:TEST_TOKEN"\nrights = ["everything"]',
        '[tokens.x]\nsecret = "in-the-clear-0123456789abcdef0123456789"\nrights = ["score"]',
        '[tokens."Maria D"]\nsecret = "env:TEST_TOKEN"\nrights = ["score"]',
    ],
)
def test_a_table_of_tokens_is_checked(load, table):
    """Known rights, at least one, a secret by reference, a name without a person in it."""
    with pytest.raises(SettingsError, match="tokens"):
        load(table)


def test_the_receiver_is_read(load):
    """Address and secret, or nothing."""
    assert load(SCORECARD).scorecard_receiver() == (
        "https://scorecard.example/hooks/people",
        SECRET,
    )
    assert load().scorecard_receiver() is None


@pytest.mark.parametrize("value", ["", "hunter2", "whsec_" + "A" * 8])
def test_an_unusable_secret_stops_the_worker(load, monkeypatch, value):
    """It would sign what nobody could trust."""
    monkeypatch.setenv("TEST_SCORECARD", value)
    [problem] = check_settings(load(SCORECARD), Part.WORKER)

    assert problem.startswith("scorecard.secret: ")
    assert not value or value not in problem


@pytest.mark.parametrize(
    "lines",
    [
        'url = "http://scorecard.example/"\nsecret = "env:TEST_SCORECARD"',
        'url = "http://127.0.0.1.scorecard.example/"\nsecret = "env:TEST_SCORECARD"',
        'url = "https://me:pass@scorecard.example/"\nsecret = "env:TEST_SCORECARD"',
        'url = "https://scorecard.example/"',
        "[scorecard.weights]\naccess_revocation = 100",
        "[scorecard.weights]\nvibes = 100",
        'report_validity = "500d"',
        '[scorecard.penalties.p]\ncurrency = "euro"',
        '[scorecard.penalties.p]\ncurrency = "EUR"\nper_case = -1',
    ],
)
def test_a_wrong_table_of_the_scorecard_is_refused(load, lines):
    """Each of them would send the score astray or weigh it wrongly."""
    with pytest.raises(SettingsError, match="scorecard"):
        load("[scorecard]\n" + lines)


def test_rules_come_from_the_settings(load):
    """Weights, terms, how long reports count; defaults where nothing is said."""
    lines = """
report_validity = "30d"
[scorecard.weights]
access_revocation = 40
security_training = 20
background_checks = 20
zero_contractor = 20
[scorecard.penalties.northwind]
currency = "EUR"
per_case = 10000
per_started_hour = 500
cap_per_case = 50000
"""
    given = load("[scorecard]" + lines).scorecard
    rules = given.to_rules(tenant="acme", heartbeat=timedelta(hours=6))
    default = load().scorecard.to_rules(tenant="acme", heartbeat=timedelta(hours=24))

    assert (rules.tenant, rules.heartbeat) == ("acme", timedelta(hours=6))
    assert rules.weights["access_revocation"] == 40
    assert rules.terms == {"northwind": Terms("EUR", 10_000, 500, 50_000)}
    assert rules.report_validity == timedelta(days=30)
    assert default.weights == DEFAULT_WEIGHTS
