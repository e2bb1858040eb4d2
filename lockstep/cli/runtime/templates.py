"""The settings file that `lockstep init` writes."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.anchors.base import AnchorManifest
from connectors.anchors.registry import ANCHORS
from connectors.base import ConnectorManifest
from connectors.registry import MANIFESTS
from lockstep.cli.runtime.stand_ins import usual_ports
from sandbox.vendors.registry import descriptions

SOURCE = "hr-main"

_HEAD = """\
# Lockstep settings. Check them with `lockstep doctor`.
#
# Environment variables win: LOCKSTEP_WEB__PORT=9000 overrides [web] port.
# A secret is written as env:NAME or file:PATH (relative to this file), never as its value.

tenant = "{tenant}"
data_dir = ".lockstep"                # databases, logs and keys of this machine
keyring = "file:{keyring}"   # encrypts personal data: back it up, losing it loses the data

[database]
mode = "embedded"                     # or "external" with url and owner_url
# url = "env:LOCKSTEP_DATABASE_URL"         # the application's role: member of lockstep_app
# owner_url = "env:LOCKSTEP_OWNER_URL"      # owns the schema, used by `lockstep migrate` only

[temporal]
mode = "embedded"                     # or "external" with address, namespace, tls, api_key
port = {temporal_port}
# ui_port = 8233                      # the embedded server's web page
# address = "my-namespace.a1b2c.tmprl.cloud:7233"
# namespace = "my-namespace.a1b2c"
# api_key = "env:TEMPORAL_API_KEY"

[web]
bind = "127.0.0.1"                    # HR posts to http://<bind>:<port>/hooks/<source>
port = {web_port}
# proxies = ["10.0.0.5"]              # your TLS proxy, where it is not on this machine

[log]
level = "info"
format = "json"                       # or "text"

# An HR system. It signs by Standard Webhooks; up to two secrets are active at once, so that one
# can be rotated without a gap. While a source here is silent for 7 days, there is no score: let
# it send heartbeats (docs/termination-event.md).
[sources.{source}]
secrets = ["file:{secret}"]
# partners = ["Northwind BPO"]        # it speaks for these only; left out: for every one
# sites = ["Manila 2", "Cebu"]

# What a date means and how long a system may take. Pinned in each case when it opens; changing
# it touches new cases only.
[policy]
version = "1"
end_of_day = "18:00"                  # local time at which the last working day ends
involuntary_at_notice = false         # cut a dismissal off as soon as HR records it
warn_at = 0.5                         # tell operations after this part of the SLA
watch = {watch}      # read back again so long after closing
# same_people = ["hr-a", "hr-b"]      # sources of one numbering: else one number is two people
# partners = ["Northwind BPO"]        # those that there are: any other name is refused
# sites = ["Manila 2", "Cebu"]
# vendor_clock_tolerance = "2s"       # a vendor's clock further off than this dates nothing

# [policy.sla.involuntary]            # elapsed time, never business hours
# 0 = "1h"                            # tier 0: sign-in, VPN, privileged and client systems
# 1 = "4h"
# manual = "24h"

# When one source reports more than is usual within an hour, the rest waits for an approver: a
# mistaken import stops, a single dismissal does not (`lockstep brake`, docs/console.md).
# [brake]
# per_hour = 100                      # 0 is no brake
# dismissals_per_hour = 25

# The signed ledger. Copies of its heads outside the database show whoever rewrites it; each anchor
# is one such place (docs/anchors.md). `lockstep ledger key` prints the key for your auditor.
[ledger]
key = "file:{ledger_key}"     # signs the heads: back it up, apart from the database
heartbeat = "24h"                     # sign at least so often, so that a cut end shows

# Who may use the console. Without [oidc], on this machine only, `lockstep up` and
# `lockstep access link` print one-time links. docs/console.md explains each table.
# [console]
# origin = "https://lockstep.example.com"   # as browsers see it, behind your TLS proxy
# idle = "30m"
# lifetime = "10h"
# attest_in_pairs = ["0"]                   # tiers that nobody attests alone; 0 always
# pick_in_pairs = []                        # tiers where nobody picks accounts in doubt alone
# prolong_in_pairs = ["involuntary"]        # whose access nobody prolongs alone

# [oidc]
# issuer = "https://login.example.com"
# client_id = "lockstep"
# client_secret = "env:LOCKSTEP_OIDC_SECRET"
# client_auth = "client_secret_basic"  # as registered there; `lockstep doctor` asks

# [groups.operations]
# group = "lockstep-operators"          # as the provider's groups claim has it
# roles = ["operator"]                  # hr, operator, approver, auditor, viewer, admin
# partners = ["*"]
# sealed = false                        # may see coming dismissals before their cutoff

# Telling people: any address that Apprise reads (mail, Slack, Teams, PagerDuty and others).
# [notices.routes.operations]
# url = "env:LOCKSTEP_NOTICES_OPERATIONS"
# kinds = ["stuck", "breached", "access_back", "brake_on", "hr_silent", "anchor_failing"]
# quiet = {{ from = "22:00", to = "06:00", zone = "Asia/Manila" }}
# escalate_to = "lead"
# after = "30m"
"""

_NO_SYSTEMS = """
# The systems to revoke access in. Uncomment and complete; `lockstep doctor` checks each of them.
"""

_SANDBOX = """
# Simulated systems and local peers, started by `lockstep up --sandbox`. Not for production.
[sandbox]
# people = 500                        # of a made-up company, with accounts there from the start
"""

_MANUAL = """
# A system without an API: a person revokes and attests.
# [systems.client-portal]
# connector = "manual"
"""


def settings_text(
    *,
    tenant: str,
    keyring: str,
    secret: str,
    ledger_key: str = ".lockstep/ledger.key",
    systems: str = "",
    temporal_port: int = 7233,
    web_port: int = 8080,
    watch: str = '["1h", "1d", "7d", "30d"]',
) -> str:
    """The whole file; without ``systems`` every connector is shown as a comment."""
    head = _HEAD.format(
        tenant=tenant,
        keyring=keyring,
        secret=secret,
        ledger_key=ledger_key,
        source=SOURCE,
        temporal_port=temporal_port,
        web_port=web_port,
        watch=watch,
    )
    head += "\n" + "".join(_anchor(manifest) for manifest in ANCHORS.values())
    if systems:
        return head + systems
    examples = [_example(manifest) for manifest in MANIFESTS.values() if manifest.is_product]
    return head + _NO_SYSTEMS + "".join(examples) + _MANUAL


def _anchor(manifest: AnchorManifest) -> str:
    """A kind of anchor with what it needs; what else it takes is in docs/anchors.md."""
    lines = [f"# [ledger.anchors.my-{manifest.kind}]", f'# kind = "{manifest.kind}"']
    for spec in manifest.options:
        if spec.required or spec.secret:
            value = f"env:ANCHOR_{spec.name.upper()}" if spec.secret else spec.default
            mark = "" if spec.required else "optional: "
            lines.append(f"# {spec.name} = {_toml(value)}   # {mark}{spec.summary}")
    return "\n".join(lines) + "\n\n"


def _example(manifest: ConnectorManifest) -> str:
    lines = [f"# [systems.{manifest.kind}-prod]   # {manifest.title}"]
    lines.append(f'# connector = "{manifest.kind}"')
    lines.append(f"# tier = {1 if manifest.category.value in {'saas', 'badge'} else 0}")
    for spec in manifest.options:
        value = spec.default
        if spec.secret:
            value = f"env:{manifest.kind.upper()}_{spec.name.upper()}"
        mark = "" if spec.required else "optional: "
        lines.append(f"# {spec.name} = {_toml(value)}   # {mark}{spec.summary}")
    return "\n".join(lines) + "\n\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return '"' + str(value if value is not None else "").replace("\\", "\\\\") + '"'


def sandbox_systems(ports: Mapping[str, int]) -> str:
    """Where each vendor of the sandbox listens, and the sample systems that these are."""
    tables = [
        each.settings.format(url=f"http://127.0.0.1:{ports[kind]}")
        for kind, each in descriptions().items()
        if each.settings
    ]
    listed = "".join(f"{kind}_port = {ports[kind]}\n" for kind in usual_ports())
    return f"{_SANDBOX}{listed}\n" + "\n".join(tables)
