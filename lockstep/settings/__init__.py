"""One file, `lockstep.toml`; environment variables win; secrets come by reference only.

``LOCKSTEP_DATABASE__URL`` overrides ``[database] url``, and so on. A secret is ``env:NAME`` or
``file:PATH``; a literal in the file is refused, because files get copied.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableEnvironmentError

from connectors.base import ConnectorOptions
from connectors.registry import MANIFESTS, MANUAL
from lockstep.control.events import LOCAL_SOURCE
from lockstep.control.temporal import TemporalAddress
from lockstep.control.webhook_secret import webhook_key
from lockstep.domain.access import Category
from lockstep.domain.cutoff import CutoffRule
from lockstep.domain.policy import DEFAULT_SLA, Policy, SystemPolicy
from lockstep.settings.evidence import (
    LedgerTable,
    RetentionTable,
    ScorecardTable,
    TokenTable,
)
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
    secret_reference,
)
from lockstep.storage.keyring import Keyring, KeyringError

DEFAULT_FILE = Path("lockstep.toml")
_MAX_SECRET = 64 * 1024


class SettingsError(ValueError):
    """Settings that cannot be used; every line names the key, the reason and the fix."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


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
    retention: RetentionTable = Field(default_factory=RetentionTable)
    tokens: dict[str, TokenTable] = Field(default_factory=dict)
    sources: dict[str, SourceTable] = Field(default_factory=dict)
    systems: dict[str, SystemTable] = Field(min_length=1)

    _home: Path = Path()

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
            ("ledger.anchors", self.ledger.anchors),
        ):
            for name in names:
                if not SYSTEM_ID.fullmatch(name):
                    raise ValueError(f"{table}.{name}: use a-z, 0-9 and -, 40 at most")
        if LOCAL_SOURCE in self.sources:
            raise ValueError(f"sources.{LOCAL_SOURCE}: this name is our own: choose another")
        return self

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
                    category=table.category or _category(table.connector),
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
        )

    def connector_options(self, name: str) -> ConnectorOptions:
        """What one system's connector is built from.

        Raises:
            SettingsError: naming each option that is unknown, missing or wrong.
        """
        table = self.systems[name]
        manifest = MANIFESTS[table.connector]
        given: Mapping[str, object] = table.model_extra or {}
        problems = []
        specs = {spec.name: spec for spec in manifest.options}
        for option in sorted(set(given) - set(specs)):
            known = ", ".join(sorted(specs))
            problems.append(
                f"systems.{name}.{option}: {table.connector} has no such option: use {known}"
            )
        plain: dict[str, object] = {}
        secrets: dict[str, str] = {}
        for spec in manifest.options:
            key = f"systems.{name}.{spec.name}"
            value = given.get(spec.name, spec.default)
            try:
                if value is None:
                    if spec.required:
                        problems.append(f"{key}: missing: {spec.summary}")
                elif spec.secret:
                    secrets[spec.name] = self.secret(secret_reference(str(value)), key=key)
                elif spec.choices and value not in spec.choices:
                    problems.append(f"{key}: must be one of {', '.join(spec.choices)}")
                else:
                    plain[spec.name] = value
            except SettingsError as error:
                problems.extend(error.problems)
            except ValueError as error:
                problems.append(f"{key}: {error}")
        if problems:
            raise SettingsError(problems)
        return ConnectorOptions(name, plain, secrets, table.timeout)

    def _optional(self, path: Path | None) -> Path | None:
        return self.path(path) if path else None


def load_settings(path: Path | None = None) -> Settings:
    """Read and validate the settings file and the environment.

    Raises:
        SettingsError: with every problem found.
    """
    chosen = path or Path(os.environ.get("LOCKSTEP_CONFIG", DEFAULT_FILE))
    try:
        document: dict[str, Any] = tomllib.loads(chosen.read_text())
    except FileNotFoundError:
        raise SettingsError(
            [f"{chosen}: there is no settings file: write one with `lockstep init`"]
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([f"{chosen}: cannot be read: {error}"]) from None
    try:
        settings = Settings(**document)
    except UnreadableEnvironmentError as error:
        raise SettingsError(
            [f"environment: {error}: give JSON, or single values such as LOCKSTEP_WEB__PORT"]
        ) from None
    except ValidationError as error:
        raise SettingsError([_problem(row) for row in error.errors(include_input=False)]) from None
    settings._home = chosen.resolve().parent  # noqa: SLF001 - set once, here
    return settings


class Part(StrEnum):
    """A process that needs its own part of the settings and no other's secrets."""

    WEB = "web"
    WORKER = "worker"


def check_settings(settings: Settings, *parts: Part) -> list[str]:
    """Everything that validation of the file alone cannot see: secrets, connector options.

    With ``parts``, only what these processes need; without, everything.
    """
    wanted = set(parts or Part)
    checks: list[Callable[[], object]] = [settings.open_keyring, settings.database_url]
    if Part.WORKER in wanted:
        checks.append(settings.temporal_address)
        for name, table in settings.systems.items():
            if table.connector != MANUAL:
                checks.append(partial(_build, settings, name))
    if Part.WEB in wanted:
        checks += [partial(settings.source_secrets, name) for name in settings.sources]
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except SettingsError as error:
            problems.extend(error.problems)
    return problems


def _build(settings: Settings, name: str) -> None:
    options = settings.connector_options(name)
    try:
        MANIFESTS[settings.systems[name].connector].build(options)
    except ValueError as error:
        raise SettingsError([f"systems.{name}: {error}"]) from None


def _category(connector: str) -> Category:
    manifest = MANIFESTS.get(connector)
    return manifest.category if manifest else Category.SAAS


def _problem(row: Any) -> str:
    key = ".".join(str(part) for part in row["loc"]) or "lockstep.toml"
    reason = str(row["msg"]).removeprefix("Value error, ")
    if key == "systems" and row["type"] == "missing":
        return "systems: none is configured yet: uncomment one in the file and complete it"
    match row["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key: remove it or correct its spelling"
        case "missing":
            return f"{key}: missing: add it (see `lockstep init --print`)"
        case _:
            return f"{key}: {reason}"
