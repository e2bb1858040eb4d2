"""What of the settings people may see: nothing that is secret, whatever key it hides in."""

from __future__ import annotations

import json

from lockstep.settings import load_settings
from lockstep.settings.shown import shown
from lockstep.storage.keys.keyring import Keyring

PLANTED = "hunter2-this-must-never-be-shown"
FULL = f"""
tenant = "acme"
keyring = "file:planted/keyring.json"

[database]
mode = "external"
url = "postgresql://lockstep:{PLANTED}@db.example.com/lockstep"
owner_url = "env:PLANTED_OWNER"

[temporal]
mode = "external"
address = "planted.tmprl.cloud:7233"
api_key = "env:PLANTED_KEY"
client_key = "planted/client.key"

[ledger]
key = "file:planted/ledger.key"

[ledger.anchors.outside]
kind = "webhook"
url = "https://{PLANTED}.example.com/hook"
secret = "env:PLANTED_ANCHOR"

[scorecard]
url = "https://example.com/{PLANTED}"
secret = "env:PLANTED_SCORE"

[sources.hr-main]
secrets = ["env:PLANTED_HR", "file:planted/hr"]

[tokens.board]
secret = "env:PLANTED_TOKEN"
rights = ["score"]

[oidc]
issuer = "https://id.example.com"
client_id = "lockstep"
client_secret = "env:PLANTED_CLIENT"

[groups.ops]
group = "operations"
roles = ["operator"]
partners = ["*"]

[systems.okta-prod]
connector = "okta"
domain = "https://{PLANTED}.okta.com"
token = "env:PLANTED_OKTA"

[systems.badge]
connector = "manual"
"""


def test_nothing_secret_is_shown(tmp_path, monkeypatch):
    """No value, no reference, no path, no address with something secret in it."""
    for name in ("OWNER", "KEY", "ANCHOR", "SCORE", "HR", "TOKEN", "CLIENT", "OKTA"):
        monkeypatch.setenv(f"PLANTED_{name}", PLANTED)
    (tmp_path / "planted").mkdir()
    Keyring.generate().save(tmp_path / "planted" / "keyring.json")
    (tmp_path / "lockstep.toml").write_text(FULL)
    document = json.dumps(shown(load_settings(tmp_path / "lockstep.toml")))

    for secret in (PLANTED, "PLANTED", "planted", "env:", "file:", str(tmp_path)):
        assert secret not in document
    for said in ("okta-prod", "hr-main", "operations", "https://id.example.com", "webhook"):
        assert said in document


def test_it_is_plain_data(tmp_path):
    """Ready to be rendered; durations as people write them."""
    Keyring.generate().save(tmp_path / "keyring.json")
    (tmp_path / "lockstep.toml").write_text(
        'tenant = "acme"\nkeyring = "file:keyring.json"\n[systems.badge]\nconnector = "manual"\n'
    )
    found = shown(load_settings(tmp_path / "lockstep.toml"))
    assert json.loads(json.dumps(found)) == found
    assert found["policy"]["sla"]["involuntary.0"] == "1 h"
    assert found["retention"] == {"names": "730 d", "packs": "30 d"}
    assert [row["name"] for row in found["systems"]] == ["badge"]
