"""What runs or stays because of an account, unless somebody takes it over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockstep.domain.systems.abilities import Gap


class OwnedKind(StrEnum):
    """What is owned. Public: never rename."""

    AGENT = "agent"
    SERVICE_ACCOUNT = "service_account"
    APP = "app"
    """An application or OAuth client that signs in by itself."""
    FLOW = "flow"
    """A workflow, automation, schedule or hook."""
    KEY = "key"
    """A key, token or link that opens something by itself."""
    GROUP = "group"
    """A group, team, channel or project without another owner."""


@dataclass(frozen=True, slots=True)
class Owned:
    """One thing.

    Args:
        kind: what it is.
        ref: the vendor's id of it.
        name: what people call it; may name somebody.
        has_other_owner: whether somebody else owns it too; None where the vendor does not say.
        created_at: when it was made (UTC), where the vendor says so.
        last_used_at: when it was last used (UTC), where the vendor says so.
    """

    kind: OwnedKind
    ref: str = field(repr=False)
    name: str = field(default="", repr=False)
    has_other_owner: bool | None = None
    created_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Belongings:
    """Everything of that sort which the connector looks for, of one account.

    ``gaps`` names by kind what could not be listed: it is neither empty nor known.
    """

    account_id: str = field(repr=False)
    things: tuple[Owned, ...]
    gaps: tuple[Gap, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.gaps
