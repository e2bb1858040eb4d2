"""Tables of the settings file: their keys, bounds and defaults."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import time, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from connectors.base import ConnectorManifest
from connectors.kit.pacing.pace import limit_of
from connectors.registry import MANIFESTS, MANUAL
from lockstep.domain.cases.clocks import VENDOR_CLOCK_TOLERANCE
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.place_names import shape, tidy, trouble_of
from lockstep.domain.intake.remit import Remit
from lockstep.domain.policy import DEFAULT_WATCH, Tier
from lockstep.domain.systems import pace
from lockstep.domain.systems.access import Category
from lockstep.domain.systems.waking import PER_MINUTE

SYSTEM_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
_DURATION = re.compile(r"^(\d+)\s*(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ROUNDING = 1e-6


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.match(value.strip())
        if not found:
            raise ValueError('a duration is written like "90s", "30m", "4h" or "7d"')
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    return value


def _some_time(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("no system can be off in no time at all: give 1s or more")
    return value


def secret_reference(value: str) -> str:
    if value.startswith(("env:", "file:")) and value.partition(":")[2]:
        return value
    raise ValueError("a secret is given as env:NAME or file:PATH, never as its value")


def _tier(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _groups(value: object) -> object:
    """One group may be written as a plain list of names."""
    is_one = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    return [value] if is_one else value


def _place(value: str) -> str:
    """A partner's or site's name as events have to give it."""
    name = tidy(value)
    if trouble := trouble_of(name):
        raise ValueError(trouble)
    return name


def _limit(value: str) -> str:
    """A vendor's limit as calls in a time, or ``none``."""
    if value != NO_LIMIT:
        pace.Limit.parse(value)
    return value


MOST_PLACES = 2000
NO_LIMIT = "none"
PlaceName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_place)]
TierName = Annotated[Tier, BeforeValidator(_tier)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Limit = Annotated[Duration, AfterValidator(_some_time)]
SecretRef = Annotated[str, AfterValidator(secret_reference)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def to_remit(partners: list[str] | None, sites: list[str] | None) -> Remit:
    """For whom somebody speaks; None is for everybody."""
    return Remit(
        None if partners is None else frozenset(partners),
        None if sites is None else frozenset(sites),
    )


class DatabaseTable(Table):
    """``embedded`` runs PostgreSQL beside us; ``external`` uses any PostgreSQL by URL."""

    mode: Literal["embedded", "external"] = "embedded"
    url: str = Field(default="", repr=False)
    owner_url: str = Field(default="", repr=False)
    pool_size: int = Field(default=10, ge=1, le=100)

    @model_validator(mode="after")
    def _complete(self) -> DatabaseTable:
        if self.mode == "external" and not self.url:
            raise ValueError("url is needed with mode = external (env:NAME, file:PATH or a URL)")
        return self


class TemporalTable(Table):
    """``embedded`` runs the Temporal dev server; ``external`` uses any server or cloud."""

    mode: Literal["embedded", "external"] = "embedded"
    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    port: int = Field(default=7233, ge=0, le=65535)
    ui_port: int | None = Field(default=None, ge=0, le=65535)
    binary: Path | None = None
    tls: bool = False
    api_key: SecretRef | None = None
    server_ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None


class WebTable(Table):
    """``proxies``: addresses or networks of the proxies that are believed who asks them."""

    bind: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, le=1024 * 1024)
    proxies: list[str] = Field(default_factory=lambda: ["127.0.0.1", "::1"], max_length=50)

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for each in value:
            try:
                is_everybody = ip_network(each).prefixlen == 0
            except ValueError:
                raise ValueError("give addresses or networks, such as 10.0.0.0/28") from None
            if is_everybody:
                raise ValueError("name your proxies only: they are believed who asks them")
        return value


class SourceTable(Table):
    """An HR system. Two secrets may be active, so that one can be rotated without a gap.

    ``partners`` and ``sites``: for whose people it speaks; left out, for those of every one.
    """

    kind: Literal["standard-webhooks"] = "standard-webhooks"
    secrets: list[SecretRef] = Field(min_length=1, max_length=2)
    partners: list[PlaceName] | None = Field(default=None, min_length=1, max_length=MOST_PLACES)
    sites: list[PlaceName] | None = Field(default=None, min_length=1, max_length=MOST_PLACES)

    def to_remit(self) -> Remit:
        """As the rules read it."""
        return to_remit(self.partners, self.sites)


class PolicyTable(Table):
    """How cutoffs, limits and names are read.

    ``partners`` and ``sites``: those that there are; where a list is empty, any name is one. They
    are no part of what cases are pinned to: a partner's pack would name all the others.
    """

    version: str = Field(default="1", min_length=1, max_length=40)
    end_of_day: time = time(18, 0)
    involuntary_at_notice: bool = False
    warn_at: float = Field(default=0.5, gt=0, le=1)
    watch: list[Duration] = Field(default_factory=lambda: list(DEFAULT_WATCH), max_length=20)
    sla: dict[TerminationKind, dict[TierName, Limit]] = Field(default_factory=dict)
    vendor_clock_tolerance: Duration = Field(
        default=VENDOR_CLOCK_TOLERANCE, ge=timedelta(seconds=1), le=timedelta(minutes=1)
    )
    same_people: Annotated[list[list[str]], BeforeValidator(_groups)] = Field(
        default_factory=list, max_length=50
    )
    partners: list[PlaceName] = Field(default_factory=list, max_length=MOST_PLACES)
    sites: list[PlaceName] = Field(default_factory=list, max_length=MOST_PLACES)

    @field_validator("partners", "sites")
    @classmethod
    def _told_apart(cls, value: list[str]) -> list[str]:
        shown: dict[str, str] = {}
        for name in value:
            other = shown.setdefault(shape(name), name)
            told_apart = (other + name).isascii() and other.casefold() != name.casefold()
            if value.count(name) > 1 or (other != name and not told_apart):
                raise ValueError(f"{other!r} and {name!r} look alike: keep one of them")
        return value

    @field_validator("same_people")
    @classmethod
    def _apart(cls, value: list[list[str]]) -> list[list[str]]:
        names = [name for group in value for name in group]
        if any(len(group) < 2 for group in value):  # noqa: PLR2004 - a group of one is none
            raise ValueError("a group names two sources at least")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"a source stands in one group, once: {', '.join(twice)}")
        return value

    @field_validator("warn_at")
    @classmethod
    def _whole_percent(cls, value: float) -> float:
        if abs(value * 100 - round(value * 100)) > _ROUNDING:
            raise ValueError("give whole percents, for instance 0.5 or 0.75")
        return value


class SystemTable(BaseModel):
    """One system. Further keys are the connector's own options."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    connector: str
    tier: TierName = Tier.ONE
    category: Category | None = None
    required: bool = True
    accept_single_key: bool = False
    start_to_close: Duration = timedelta(seconds=60)
    timeout: Duration = timedelta(seconds=20)
    concurrency: int = Field(default=8, ge=1, le=200)
    wakes_per_minute: int = Field(default=PER_MINUTE, ge=1, le=6000)
    limit: Annotated[str, AfterValidator(_limit)] = ""
    at_once: int = Field(default=0, ge=0, le=10_000)

    @model_validator(mode="after")
    def _known(self) -> SystemTable:
        if self.connector != MANUAL and self.connector not in MANIFESTS:
            known = ", ".join(sorted([*MANIFESTS, MANUAL]))
            raise ValueError(f"connector: there is none named so; known are {known}")
        if self.connector == MANUAL:
            self.tier = Tier.MANUAL
        self.to_limit()
        return self

    @property
    def first_tries(self) -> int:
        """How many may be under way in workflow tasks; 0 where nobody has said how many at all."""
        return self.concurrency if "concurrency" in self.model_fields_set else 0

    def to_limit(self, manifest: ConnectorManifest | None = None) -> pace.Limit | None:
        """What the system takes from us: as written here, else as its vendor documents.

        ``manifest`` is the system's own, where a file of the operator's says it.
        """
        manifest, settings = manifest or MANIFESTS.get(self.connector), self.model_extra or {}
        found = limit_of(manifest.limit_in(settings) if manifest else None, settings)
        if self.limit:
            found = None if self.limit == NO_LIMIT else pace.Limit.parse(self.limit)
        return replace(found or pace.Limit(0), at_once=self.at_once) if self.at_once else found


class SandboxTable(Table):
    """Of the simulated and local systems that `lockstep up --sandbox` starts.

    ``people`` of a made-up company have accounts there; 0 is none.

    A vendor's port is ``<kind>_port``; one that is not said is as the sandbox describes it.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=1, le=65535)]]

    latency_ms: int = Field(default=0, ge=0, le=60_000)
    people: int = Field(default=500, ge=0, le=5000)

    @model_validator(mode="after")
    def _known(self) -> SandboxTable:
        known = {f"{kind}_port" for kind in MANIFESTS}
        if unknown := sorted(set(self.__pydantic_extra__) - known):
            told = ", ".join(sorted([*known, "latency_ms", "people"]))
            raise ValueError(f"unknown setting: {', '.join(unknown)}; there are {told}")
        return self

    def port(self, kind: str) -> int | None:
        """Where the vendor listens, if it is said."""
        return self.__pydantic_extra__.get(f"{kind}_port")


class LogTable(Table):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
