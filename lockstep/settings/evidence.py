"""Tables of the settings file about the ledger, the score, retention and access by token."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.http import require_safe_url
from lockstep.control.score.rules import Rules
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission
from lockstep.domain.systems.seats import Prices
from lockstep.scorecard.dimension import check_weights
from lockstep.scorecard.penalties import Terms
from lockstep.settings.tables import MOST_PLACES, Duration, PlaceName, SecretRef, Table, to_remit

LONGEST_KEY = 200


class AnchorTable(BaseModel):
    """A place outside the database that keeps checkpoints. Further keys are the kind's own."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    kind: Annotated[str, Field(pattern=r"^(file|s3|webhook|mail|git|timestamp)$")]


class LedgerTable(Table):
    """Who signs the ledger's heads, how often at least, and where copies go.

    ``origin`` names the log in every checkpoint (C2SP tlog-checkpoint); default
    ``<tenant>/lockstep-ledger``. It never changes.
    """

    key: SecretRef = "file:.lockstep/ledger.key"
    origin: str = Field(default="", max_length=120, pattern=r"^[!-*,-~]*$")  # no blank, no plus
    heartbeat: Duration = Field(
        default=timedelta(hours=24), ge=timedelta(seconds=1), le=timedelta(hours=24)
    )
    anchors: dict[str, AnchorTable] = Field(default_factory=dict, max_length=20)


class RetentionTable(Table):
    """How long personal data stay readable; the pseudonymous ledger stays."""

    names: Duration = timedelta(days=730)
    packs: Duration = timedelta(days=30)


class PenaltyTable(Table):
    """A partner's contract: what a late revocation costs, in whole minor units of a currency."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    per_case: int = Field(default=0, ge=0, le=10**9)
    per_started_hour: int = Field(default=0, ge=0, le=10**9)
    cap_per_case: int | None = Field(default=None, ge=0, le=10**12)

    def to_terms(self) -> Terms:
        return Terms(self.currency, self.per_case, self.per_started_hour, self.cap_per_case)


class SeatsTable(Table):
    """What a seat costs a month, by system, in whole minor units of one currency."""

    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    prices: dict[str, Annotated[int, Field(ge=0, le=10**9)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_currency(self) -> SeatsTable:
        if self.prices and not self.currency:
            raise ValueError('currency is needed with prices, as in currency = "EUR"')
        return self

    def to_prices(self) -> Prices:
        return Prices(self.currency, self.prices)


class ScorecardTable(Table):
    """Where the metric is pushed, and how the dimension is weighed.

    ``report_validity``: how long a report of another metric counts; a quarter and some days.
    ``metrics_by_partner``: whether Prometheus is told the partners' names.
    """

    url: str = Field(default="", max_length=500)
    secret: SecretRef | None = None
    weights: dict[str, int] = Field(default_factory=dict, max_length=4)
    penalties: dict[str, PenaltyTable] = Field(default_factory=dict)
    report_validity: Duration = Field(
        default=timedelta(days=100), ge=timedelta(days=1), le=timedelta(days=400)
    )
    metrics_by_partner: bool = False

    @model_validator(mode="after")
    def _complete(self) -> ScorecardTable:
        if self.url and not self.secret:
            raise ValueError("secret is needed with url: the scorecard must know that it is us")
        if self.url:  # not in clear, and no look-alike such as http://127.0.0.1.example.com
            require_safe_url(self.url, option="url")
        check_weights(self.weights)
        return self

    def to_rules(self, *, tenant: str, heartbeat: timedelta) -> Rules:
        """What the score depends on; ``heartbeat`` is the ledger's."""
        return Rules(
            tenant=tenant,
            weights=check_weights(self.weights),
            terms={name: table.to_terms() for name, table in self.penalties.items()},
            heartbeat=heartbeat,
            report_validity=self.report_validity,
        )


class TokenTable(Table):
    """A token of a machine that asks the API; deny unless a right allows.

    ``owner``: keys of whoever holds it, by kind. Without one it can be neither of two people.
    ``partners``: of whose people it may know, and report; ``sites``: of which it may report. Left
    out, of every one.
    """

    secret: SecretRef
    rights: list[Permission] = Field(min_length=1, max_length=len(Permission))
    owner: dict[KeyKind, str] = Field(default_factory=dict)
    partners: list[PlaceName] | None = Field(default=None, min_length=1, max_length=MOST_PLACES)
    sites: list[PlaceName] | None = Field(default=None, min_length=1, max_length=MOST_PLACES)

    @field_validator("owner")
    @classmethod
    def _is_somebody(cls, value: dict[KeyKind, str]) -> dict[KeyKind, str]:
        if KeyKind.ACCOUNT_ID in value:
            raise ValueError("an account is nobody's name: give a worker id, e-mail or username")
        if not all(1 <= len(text.strip()) <= LONGEST_KEY for text in value.values()):
            raise ValueError(f"a key has 1 to {LONGEST_KEY} characters")
        return value

    def to_remit(self) -> Remit:
        """As the rules read it."""
        return to_remit(self.partners, self.sites)

    @property
    def owner_keys(self) -> tuple[Key, ...]:
        """The owner's keys."""
        return tuple(Key(kind, text.strip()) for kind, text in sorted(self.owner.items()))
