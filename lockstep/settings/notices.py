"""Tables of the settings file about telling people."""

from __future__ import annotations

from datetime import time, timedelta

from pydantic import Field, field_validator, model_validator

from lockstep.domain.notices import NoticeKind, Quiet, Route
from lockstep.domain.zones import canonical_zone
from lockstep.settings.tables import Duration, SecretRef, Table, TierName


class QuietTable(Table):
    """Hours of a route in which notices wait until the hours end."""

    begins: time = Field(alias="from")
    ends: time = Field(alias="to")
    zone: str = Field(min_length=1, max_length=60)
    except_kinds: list[NoticeKind] = Field(
        default_factory=lambda: [
            NoticeKind.BREACHED,
            NoticeKind.RETURNED,
            NoticeKind.BRAKE,
            NoticeKind.STALLED,
            NoticeKind.LOST,
            NoticeKind.EVENT,
            NoticeKind.OUTAGE,
        ]
    )

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return canonical_zone(value)

    def to_quiet(self) -> Quiet:
        return Quiet(self.begins, self.ends, self.zone, frozenset(self.except_kinds))


class RouteTable(Table):
    """One way to tell people. ``url`` is an Apprise URL, which holds a secret."""

    url: SecretRef
    kinds: list[NoticeKind] = Field(default_factory=lambda: list(NoticeKind), min_length=1)
    partners: list[str] = Field(default_factory=lambda: ["*"], min_length=1, max_length=200)
    tiers: list[TierName] = Field(default_factory=list, max_length=10)
    quiet: QuietTable | None = None
    names: bool = False
    escalate_to: str = ""
    after: Duration = Field(
        default=timedelta(minutes=30), ge=timedelta(minutes=1), le=timedelta(days=7)
    )

    def to_route(self, name: str) -> Route:
        return Route(
            name=name,
            kinds=frozenset(self.kinds),
            partners=None if "*" in self.partners else frozenset(self.partners),
            tiers=frozenset(str(tier) for tier in self.tiers) or None,
            quiet=self.quiet.to_quiet() if self.quiet else None,
            names=self.names,
            escalate_to=self.escalate_to,
            after=self.after,
        )


class NoticesTable(Table):
    """``silent_after``: how long a source of HR may say nothing before people are told."""

    silent_after: Duration = Field(
        default=timedelta(hours=36), ge=timedelta(hours=1), le=timedelta(days=7)
    )
    routes: dict[str, RouteTable] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _escalations_end(self) -> NoticesTable:
        for name in self.routes:
            seen = {name}
            step = self.routes[name].escalate_to
            while step:
                if step not in self.routes:
                    raise ValueError(f"routes.{name}.escalate_to: there is no route {step!r}")
                if step in seen:
                    raise ValueError(f"routes.{name}.escalate_to: this leads in a circle")
                seen.add(step)
                step = self.routes[step].escalate_to
        return self

    def to_routes(self) -> list[Route]:
        return [table.to_route(name) for name, table in sorted(self.routes.items())]
