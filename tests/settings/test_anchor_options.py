"""Anchors in the settings file: every wrong key is named, secrets come by reference only."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.anchors.registry import ANCHORS
from lockstep.settings import Part, SettingsError, check_settings, load_settings
from lockstep.settings.anchors import build_anchors
from lockstep.storage.keys.keyring import Keyring

SECRET = "hunter2-this-must-never-be-shown"
BASE = """
tenant = "acme"
keyring = "file:keyring.json"

[systems.badge]
connector = "manual"

[ledger.anchors.outside]
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    Keyring.generate().save(tmp_path / "keyring.json")
    monkeypatch.setenv("TEST_SECRET", SECRET)
    return tmp_path


def build(place: Path, text: str):
    path = place / "lockstep.toml"
    path.write_text(BASE + text)
    return build_anchors(load_settings(path))


S3 = """
kind = "s3"
bucket = "copies"
retention_days = 400
access_key_id = "env:TEST_SECRET"
secret_access_key = "env:TEST_SECRET"
"""


def test_a_complete_anchor_is_built(place):
    """Under its own name, with defaults filled in."""
    [(name, anchor)] = build(place, S3).items()

    assert (name, anchor.kind) == ("outside", "s3")


def test_paths_start_at_the_settings_file(place):
    """Whatever the working directory is."""
    anchor = build(place, 'kind = "file"\npath = "copies"\n')["outside"]

    assert anchor._folder == place / "copies"


def test_an_anchors_own_files_lie_in_the_data_folder(place):
    """A git anchor's clone, for instance."""
    text = 'kind = "git"\nremote = "file:///srv/x.git"\nauthor_name = "a"\nauthor_email = "b"\n'
    anchor = build(place, text)["outside"]

    assert anchor._clone == place / ".lockstep" / "anchors" / "outside.git"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "fax"', "ledger.anchors.outside.kind"),
        ('kind = "file"', "ledger.anchors.outside.path: missing: existing folder"),
        (S3 + "buckt = 1", "ledger.anchors.outside.buckt: s3 has no such option: use access"),
        (S3.replace("env:TEST_SECRET", SECRET), "a secret is given as env:NAME or file:PATH"),
        (S3.replace("TEST_SECRET", "NOWHERE"), "the environment variable NOWHERE is not set"),
        (S3 + 'encryption = "rot13"', "outside.encryption: must be one of AES256"),
        (S3.replace("400", "0"), "outside.retention_days: give a whole number from 1"),
        ('kind = "webhook"\nurl = "http://example.com"\nsecret = "env:TEST_SECRET"', "use https"),
        ('kind = "webhook"\nurl = "https://x.org"\nsecret = "env:TEST_SECRET"', "secret: write it"),
    ],
)
def test_a_wrong_key_is_named_without_its_secret(place, text, says):
    """The line names the key, the reason and the remedy."""
    with pytest.raises(SettingsError) as caught:
        build(place, text)

    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_all_anchors_problems_are_told_at_once(place):
    """A person does not fix a file one error at a time."""
    more = '\n[ledger.anchors.other]\nkind = "file"\npath = ""\n'
    with pytest.raises(SettingsError) as caught:
        build(place, 'kind = "file"\n' + more)

    assert len(caught.value.problems) == 2
    settings = load_settings(place / "lockstep.toml")
    assert set(caught.value.problems) <= set(check_settings(settings, Part.WORKER))
    assert not set(caught.value.problems) & set(check_settings(settings, Part.WEB))


@pytest.mark.parametrize("kind", sorted(ANCHORS))
def test_no_kind_quotes_its_secrets_when_it_refuses_them(place, monkeypatch, kind):
    """A secret of the wrong shape is refused, if at all, without being shown."""
    monkeypatch.setenv("TEST_SECRET", SECRET + "\u00fc \x01")
    (place / "root.pem").write_text(SECRET)
    lines = [f'kind = "{kind}"']
    for spec in ANCHORS[kind].options:
        if spec.secret:
            lines.append(f'{spec.name} = "env:TEST_SECRET"')
        elif spec.name in {"root", "ca_file"}:
            lines.append(f'{spec.name} = "root.pem"')
        elif spec.required:
            lines.append(f'{spec.name} = "x"')
    try:
        shown = repr(build(place, "\n".join(lines)))
    except SettingsError as error:
        shown = str(error)

    assert "hunter2" not in shown
