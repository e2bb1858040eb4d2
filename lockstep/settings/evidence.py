"""Tables of the settings file about the ledger, the score, retention and access by token."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lockstep.settings.tables import Duration, SecretRef, Table


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


class ScorecardTable(Table):
    """Where the metric is pushed, and how the dimension is weighed."""

    url: str = Field(default="", max_length=500)
    secret: SecretRef | None = None
    weights: dict[str, int] = Field(default_factory=dict, max_length=4)
    penalties: dict[str, PenaltyTable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> ScorecardTable:
        if self.url and not self.secret:
            raise ValueError("secret is needed with url: the scorecard must know that it is us")
        if self.url and not self.url.startswith(("https://", "http://127.0.0.1", "http://[::1]")):
            raise ValueError("url must be https: the score must not travel in clear")
        return self


class Right(StrEnum):
    """What a token may do."""

    SCORE = "score"
    """Read the metric."""
    REPORT = "report"
    """Report the other metrics of the dimension."""
    EXPORT = "export"
    """Order and download evidence packs."""
    IDENTIFIED = "identified"
    """Order packs that name people."""


class TokenTable(Table):
    """A token of a machine that asks the API; deny unless a right allows."""

    secret: SecretRef
    rights: list[Right] = Field(min_length=1, max_length=len(Right))
