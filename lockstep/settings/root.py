"""The root table of `lockstep.toml`: all settings as a whole, and what is opened from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connectors.anchors.base import AnchorOptions
from connectors.anchors.registry import ANCHORS
from connectors.base import ConnectorManifest, ConnectorOptions
from connectors.kit.pacing.pace import Line, Pacer
from connectors.openid.client import Client, ClientKey
from connectors.registry import MANIFESTS, MANUAL
from lockstep.control.intake.webhook_secret import webhook_key
from lockstep.control.people.tokens import TokenError, Tokens
from lockstep.control.runtime.temporal import TemporalAddress
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.numbering import LOCAL_SOURCE, Numbering
from lockstep.domain.intake.place_names import PlaceList
from lockstep.domain.intake.remit import Remit
from lockstep.domain.policy import DEFAULT_SLA, Policy, SystemPolicy
from lockstep.domain.rights import Permission
from lockstep.domain.systems.access import Category
from lockstep.domain.systems.pace import Limit
from lockstep.evidence.format.notes import NoteError, Signer
from lockstep.settings.console import (
    EVERY,
    BrakeTable,
    ConsoleTable,
    GroupTable,
    OidcTable,
    is_local,
)
from lockstep.settings.errors import SettingsError
from lockstep.settings.evidence import (
    LedgerTable,
    RetentionTable,
    ScorecardTable,
    SeatsTable,
    TokenTable,
)
from lockstep.settings.notices import NoticesTable
from lockstep.settings.options import read_options
from lockstep.settings.signing import default_origin, parse_signer
from lockstep.settings.tables import (
    SYSTEM_ID,
    DatabaseTable,
    LogTable,
    PolicyTable,
    SandboxTable,
    SecretRef,
    SourceTable,
    SystemTable,
    TemporalTable,
    WebTable,
)
from lockstep.storage.keys.keyring import Keyring, KeyringError

_MAX_SECRET = 64 * 1024


class Settings(BaseSettings):
    """All settings, validated as a whole; see `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="LOCKSTEP_",
        env_nested_delimiter="__",
        extra="forbid",
        hide_input_in_errors=True,
    )

    tenant: str = Field(min_length=1, max_length=80, pattern=r"^[a-z0-9][a-z0-9-]*$")
    data_dir: Path = Path(".lockstep")
    keyring: SecretRef
    database: DatabaseTable = Field(default_factory=DatabaseTable)
    temporal: TemporalTable = Field(default_factory=TemporalTable)
    web: WebTable = Field(default_factory=WebTable)
    log: LogTable = Field(default_factory=LogTable)
    policy: PolicyTable = Field(default_factory=PolicyTable)
    sandbox: SandboxTable = Field(default_factory=SandboxTable)
    ledger: LedgerTable = Field(default_factory=LedgerTable)
    scorecard: ScorecardTable = Field(default_factory=ScorecardTable)
    seats: SeatsTable = Field(default_factory=SeatsTable)
    retention: RetentionTable = Field(default_factory=RetentionTable)
    console: ConsoleTable = Field(default_factory=ConsoleTable)
    oidc: OidcTable | None = None
    groups: dict[str, GroupTable] = Field(default_factory=dict)
    brake: BrakeTable = Field(default_factory=BrakeTable)
    notices: NoticesTable = Field(default_factory=NoticesTable)
    tokens: dict[str, TokenTable] = Field(default_factory=dict)
    sources: dict[str, SourceTable] = Field(default_factory=dict)
    systems: dict[str, SystemTable] = Field(min_length=1)

    _home: Path = Path()
    _file: Path = Path()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for table, names in (
            ("systems", self.systems),
            ("sources", self.sources),
            ("tokens", self.tokens),
            ("groups", self.groups),
            ("ledger.anchors", self.ledger.anchors),
            ("notices.routes", self.notices.routes),
        ):
            for name in names:
                if not SYSTEM_ID.fullmatch(name):
                    raise ValueError(f"{table}.{name}: use a-z, 0-9 and -, 40 at most")
        if LOCAL_SOURCE in self.sources:
            raise ValueError(f"sources.{LOCAL_SOURCE}: this name is our own: choose another")
        return self

    @model_validator(mode="after")
    def _priced(self) -> Settings:
        if unknown := sorted(set(self.seats.prices) - set(self.systems)):
            raise ValueError(f"seats.prices: no such system: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _same_people(self) -> Settings:
        named = {name for group in self.policy.same_people for name in group}
        if unknown := sorted(named - set(self.sources)):
            raise ValueError(f"policy.same_people: no such source: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _places(self) -> Settings:
        """Where partners are listed, no other table may name one that is not."""
        listed = self.place_list()
        for what, names in (("partners", self.partners), ("sites", self.bound_sites)):
            known = listed.partners if what == "partners" else listed.sites
            if known and (unknown := sorted(names - set(known))):
                raise ValueError(
                    f"policy.{what}: other tables name what is not listed: {', '.join(unknown)}:"
                    " add it, or mend it there"
                )
        return self

    @model_validator(mode="after")
    def _sign_in(self) -> Settings:
        if self.oidc is not None and not self.groups:
            raise ValueError("groups: nobody could do anything: add a [groups.<name>] table")
        return self

    @model_validator(mode="after")
    def _owners(self) -> Settings:
        """A token's owner is compared with people who sign in: by keys that they sign in with."""
        for name, table in self.tokens.items():
            kinds = set(self.oidc.keys) if self.oidc else set()
            alike = {KeyKind.EMAIL, KeyKind.USERNAME}
            kinds |= alike if kinds & alike else set()
            if table.owner and kinds and not kinds & set(table.owner):
                wanted = ", ".join(sorted(kind.value for kind in kinds))
                raise ValueError(
                    f"tokens.{name}.owner: give what people sign in with, too: one of {wanted}"
                )
        return self

    @property
    def one_time_links(self) -> bool:
        """Whether a one-time link signs in: on this machine only, and without a provider only."""
        return self.oidc is None and is_local(self.web.bind)

    @property
    def origin(self) -> str:
        """Scheme, host and port under which browsers know us."""
        return self.console.origin or f"http://{self.web.bind}:{self.web.port}"

    @property
    def file(self) -> Path:
        """The file that they were read from: a process that we start reads them anew."""
        return self._file

    def path(self, path: Path) -> Path:
        """A path as written in the file: relative to the file, not to the working directory."""
        return path if path.is_absolute() else self._home / path

    def secret(self, reference: str, *, key: str) -> str:
        """Resolve ``env:NAME`` or ``file:PATH``.

        Raises:
            SettingsError: if there is no such variable or file; never quotes a value.
        """
        kind, _, place = reference.partition(":")
        if kind == "env":
            value = os.environ.get(place, "")
            if not value:
                raise SettingsError([f"{key}: the environment variable {place} is not set: set it"])
            return value
        path = self.path(Path(place))
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise SettingsError([f"{key}: cannot read {path} ({reason}): create it"]) from None
        if len(text) > _MAX_SECRET or not text.strip():
            raise SettingsError([f"{key}: {path} is empty or too large: put the secret in it"])
        return text.strip()

    def database_url(self, *, owner: bool = False) -> str:
        """The URL of an external database, by reference or literal."""
        value = (self.database.owner_url or self.database.url) if owner else self.database.url
        if value.startswith(("env:", "file:")):
            return self.secret(value, key="database.owner_url" if owner else "database.url")
        return value

    def open_keyring(self) -> Keyring:
        try:
            return Keyring.parse(self.secret(self.keyring, key="keyring"))
        except KeyringError as error:
            raise SettingsError([f"keyring: {error}: restore it from your backup"]) from None

    @property
    def ledger_origin(self) -> str:
        """The ledger's name in every head that is signed; also the name of its key."""
        return self.ledger.origin or default_origin(self.tenant)

    def open_signer(self) -> Signer:
        """The key that signs the ledger's heads."""
        try:
            text = self.secret(self.ledger.key, key="ledger.key")
            return parse_signer(text, origin=self.ledger_origin)
        except NoteError as error:
            raise SettingsError([f"ledger.key: {error}: restore it from your backup"]) from None
        except SettingsError as error:  # an installation from before there was one
            how = "make one with `lockstep ledger key --new FILE`, once"
            raise SettingsError([f"{problem}, or {how}" for problem in error.problems]) from None

    def temporal_address(self) -> TemporalAddress:
        table = self.temporal
        embedded = table.mode == "embedded"
        return TemporalAddress(
            address=f"127.0.0.1:{table.port}" if embedded else table.address,
            namespace=table.namespace,
            tls=table.tls and not embedded,
            api_key=self.secret(table.api_key, key="temporal.api_key") if table.api_key else "",
            server_ca=self._optional(table.server_ca),
            client_certificate=self._optional(table.client_certificate),
            client_key=self._optional(table.client_key),
        )

    def source_secrets(self, name: str) -> tuple[str, ...]:
        key = f"sources.{name}.secrets"
        secrets = tuple(self.secret(given, key=key) for given in self.sources[name].secrets)
        try:
            for secret in secrets:
                webhook_key(secret)
        except ValueError as error:
            raise SettingsError(
                [f"{key}: {error}: make one with `echo whsec_$(openssl rand -base64 32)`"]
            ) from None
        return secrets

    def token_book(self) -> dict[str, tuple[str, frozenset[Permission]]]:
        """The API's tokens by name, each with its rights.

        Raises:
            SettingsError: naming each token that cannot be read, is too short, or is there twice.
        """
        book: dict[str, tuple[str, frozenset[Permission]]] = {}
        problems: list[str] = []
        for name, table in self.tokens.items():
            key = f"tokens.{name}.secret"
            try:
                secret = self.secret(table.secret, key=key)
                Tokens({**book, name: (secret, table.rights)})
            except SettingsError as error:
                problems.extend(error.problems)
            except TokenError as error:
                problems.append(f"{key}: {error}: make one with `openssl rand -base64 32`")
            else:
                book[name] = (secret, frozenset(table.rights))
        if problems:
            raise SettingsError(problems)
        return book

    def token_owners(self) -> dict[str, tuple[Key, ...]]:
        """Keys of whoever holds each token, by its name; without those that have no owner."""
        return {name: table.owner_keys for name, table in self.tokens.items() if table.owner}

    def oidc_client(self) -> Client | None:
        """Who we are to the identity provider; None where there is none.

        Raises:
            SettingsError: if a secret cannot be read, or what is there does not fit together.
        """
        table = self.oidc
        if table is None:
            return None
        secret, key = "", None
        if table.client_secret is not None:
            secret = self.secret(table.client_secret, key="oidc.client_secret")
        if table.client_key is not None:
            pem = self.secret(table.client_key, key="oidc.client_key")
            try:
                key = ClientKey.read(pem, key_id=table.client_key_id)
            except ValueError as error:
                raise SettingsError([f"oidc.client_key: {error}"]) from None
        try:
            return Client(table.client_id, secret, key, table.client_auth)
        except ValueError as error:
            raise SettingsError([f"oidc.{error}"]) from None

    def scorecard_receiver(self) -> tuple[str, str] | None:
        """Where the score is pushed to: address and secret; None where nobody wants it.

        Raises:
            SettingsError: if the secret cannot be read or used.
        """
        table = self.scorecard
        if not table.url or table.secret is None:
            return None
        key = "scorecard.secret"
        secret = self.secret(table.secret, key=key)
        try:
            webhook_key(secret)
        except ValueError as error:
            raise SettingsError(
                [f"{key}: {error}: make one with `echo whsec_$(openssl rand -base64 32)`"]
            ) from None
        return table.url, secret

    @property
    def partners(self) -> frozenset[str]:
        """Partners that any table names: they are known before anybody of theirs leaves."""
        named = {*self.scorecard.penalties}
        named.update(*(group.partners for group in self.groups.values()))
        named.update(*(source.partners or () for source in self.sources.values()))
        named.update(*(token.partners or () for token in self.tokens.values()))
        named.update(*(route.partners for route in self.notices.routes.values()))
        return frozenset(named - {EVERY})

    @property
    def bound_sites(self) -> frozenset[str]:
        """Sites that somebody is bound to."""
        named = [table.sites for table in self.sources.values()]
        named += [table.sites for table in self.tokens.values()]
        named += [table.sites for table in self.groups.values()]
        return frozenset[str]().union(*(sites or () for sites in named))

    def place_list(self) -> PlaceList:
        """The partners and sites that there are."""
        return PlaceList(tuple(self.policy.partners), tuple(self.policy.sites))

    def to_policy(self) -> Policy:
        """The policy that new cases are pinned to."""
        sla = dict(DEFAULT_SLA)
        for kind, tiers in self.policy.sla.items():
            sla.update({(kind, tier): limit for tier, limit in tiers.items()})
        return Policy(
            version=self.policy.version,
            systems=tuple(
                SystemPolicy(
                    system=name,
                    connector=table.connector,
                    category=table.category or self._category(name),
                    tier=table.tier,
                    required=table.required,
                    accept_single_key=table.accept_single_key,
                    start_to_close=table.start_to_close,
                )
                for name, table in sorted(self.systems.items())
            ),
            cutoff=CutoffRule(
                end_of_day=self.policy.end_of_day,
                involuntary_at_notice=self.policy.involuntary_at_notice,
            ),
            sla=sla,
            warn_at=self.policy.warn_at,
            watch=tuple(self.policy.watch),
            vendor_clock_tolerance=self.policy.vendor_clock_tolerance,
            same_people=tuple(tuple(group) for group in self.policy.same_people),
        )

    def numbering(self) -> Numbering:
        """Whose worker numbers there are."""
        return Numbering(tuple(sorted(self.sources)), self.to_policy().same_people)

    def counted_apart(self) -> dict[str, frozenset[str]]:
        """Of each source that speaks for several partners, those that the settings name."""
        listed = frozenset(self.policy.partners)
        mine = {name: table.to_remit().partners for name, table in self.sources.items()}
        named = {name: listed if some is None else some for name, some in mine.items()}
        return {name: partners for name, partners in named.items() if len(partners) > 1}

    def remits(self) -> dict[str, Remit]:
        """For whose people each source speaks."""
        return {name: table.to_remit() for name, table in self.sources.items()}

    def budgets(self) -> dict[str, str]:
        """Of each system, the first with the same credential at the same place: they share a limit.

        Raises:
            SettingsError: naming each option that is unknown, missing or wrong.
        """
        firsts: list[tuple[object, str]] = []
        found = {}
        for name, table in sorted(self.systems.items()):
            if table.connector == MANUAL:
                continue
            options = self.connector_options(name)
            place = self._place(name, options.settings)
            credential = (table.connector, place, options.secrets)
            same = (first for its, first in firsts if options.secrets and its == credential)
            found[name] = next(same, name)
            firsts.append((credential, found[name]))
        return found

    @property
    def connected(self) -> list[str]:
        """Systems that a connector speaks to; people work the others by hand."""
        return [name for name, table in self.systems.items() if table.connector != MANUAL]

    def manifest(self, name: str) -> ConnectorManifest:
        """What is known of one system's connector; a file of the operator's may say it.

        Raises:
            SettingsError: with everything that is wrong with that file.
        """
        table = self.systems[name]
        manifest = MANIFESTS[table.connector]
        if manifest.of is None:
            return manifest
        try:
            return manifest.of(self._with_paths(manifest, table.model_extra or {}))
        except ValueError as error:
            raise SettingsError(
                [f"systems.{name}: {line}" for line in str(error).splitlines()]
            ) from None

    def _place(self, name: str, options: Mapping[str, object]) -> tuple[object, ...]:
        """Where a system stands: its address, and the file that says what it is."""
        files = [spec.name for spec in self.manifest(name).options if spec.is_path]
        return tuple(options.get(key) for key in ("base_url", *files))

    def limit(self, name: str) -> Limit | None:
        """What one system takes from us.

        Raises:
            SettingsError: as `manifest` does.
        """
        table = self.systems[name]
        return (
            table.to_limit() if table.connector == MANUAL else table.to_limit(self.manifest(name))
        )

    def connector_options(self, name: str, *, pace: Pacer | None = None) -> ConnectorOptions:
        """What one system's connector is built from; without ``pace`` it keeps one of its own.

        Raises:
            SettingsError: naming each option that is unknown, missing or wrong.
        """
        table, manifest = self.systems[name], self.manifest(name)
        plain, secrets = read_options(
            f"systems.{name}",
            table.model_extra or {},
            options=manifest.options,
            owner=table.connector,
            secret=self.secret,
        )
        plain = self._with_paths(manifest, plain)
        return ConnectorOptions(name, plain, secrets, table.timeout, pace or Line(self.limit(name)))

    def anchor_options(self, name: str) -> AnchorOptions:
        """What one anchor is built from.

        Raises:
            SettingsError: naming each option that is unknown, missing or wrong.
        """
        table = self.ledger.anchors[name]
        plain, secrets = read_options(
            f"ledger.anchors.{name}",
            table.model_extra or {},
            options=ANCHORS[table.kind].options,
            owner=table.kind,
            secret=self.secret,
        )
        data_dir = self.path(self.data_dir) / "anchors"
        return AnchorOptions(name, plain, secrets, home=self._home, data_dir=data_dir)

    def _with_paths(
        self, manifest: ConnectorManifest, given: Mapping[str, object]
    ) -> dict[str, object]:
        """The options, with files named in full."""
        paths = {spec.name for spec in manifest.options if spec.is_path}
        return {
            key: str(self.path(Path(value))) if key in paths and isinstance(value, str) else value
            for key, value in given.items()
        }

    def _category(self, name: str) -> Category:
        is_manual = self.systems[name].connector == MANUAL
        return Category.SAAS if is_manual else self.manifest(name).category

    def _optional(self, path: Path | None) -> Path | None:
        return self.path(path) if path else None
