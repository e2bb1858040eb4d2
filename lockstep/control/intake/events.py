"""The generic termination event: its schema, and its way to a `Termination`."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from lockstep.domain.cases.cutoff import CutoffError, CutoffRule, check_dates, compute_cutoff
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import (
    EndDates,
    Termination,
    TerminationAction,
    TerminationKind,
)
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.intake.key_cleaning import KeyFormError, cleaned, label, unquoted
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.zones import canonical_zone

MAX_DEPTH = 12
MOST_NAMES = 10
MOST_ACCOUNTS = 20
"""Of one leaver in one system."""
HEARTBEAT = "feed.heartbeat"
"""Type of a message (Standard Webhooks 1.0, "Payload structure"). Public: never rename."""
Text = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(label),
]
PlaceText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
]
"""A partner's or site's name as it was sent: `Places` has to see what nobody else sees."""


def _written_out(value: object) -> object:
    """A number, bare or in quotes, would be taken for seconds since 1970: ``20261231`` is none."""
    if isinstance(value, date) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("write it out, such as 2026-12-31 or 2026-12-31T18:00:00+08:00, in quotes")


Instant = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
    BeforeValidator(_written_out),
]
Day = Annotated[
    date, Field(ge=date(1970, 1, 1), lt=date(2200, 1, 1)), BeforeValidator(_written_out)
]
"""Bounds keep arithmetic with zones within what a calendar can hold."""


def _no_bool(value: object) -> object:
    """JSON's true is no number, though Python's is 1."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")  # noqa: TRY004 - pydantic's
    return value


Revision = Annotated[int, Field(ge=1, le=2**53 - 1), BeforeValidator(_no_bool)]
SchemaVersion = Annotated[Literal[1], BeforeValidator(_no_bool)]
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,39}")
SystemId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


def _each(kind: KeyKind, values: list[str]) -> list[str]:
    """Every value cleaned; of several, the one that cannot be used is told by its place."""
    found = []
    for place, value in enumerate(values, start=1):
        try:
            found.append(cleaned(kind, value))
        except KeyFormError as error:
            which = f"number {place}: " if len(values) > 1 else ""
            raise ValueError(f"{which}{error}") from None
    return found


WorkerId = Annotated[Text, AfterValidator(partial(cleaned, KeyKind.WORKER_ID))]
EmployeeNumber = Annotated[Text, AfterValidator(partial(cleaned, KeyKind.EMPLOYEE_NUMBER))]
ExternalId = Annotated[Text, AfterValidator(partial(cleaned, KeyKind.EXTERNAL_ID))]
UserNames = Annotated[list[Text], AfterValidator(partial(_each, KeyKind.USERNAME))]
Emails = Annotated[list[Text], AfterValidator(partial(_each, KeyKind.EMAIL))]
AccountId = Annotated[Text, AfterValidator(partial(cleaned, KeyKind.ACCOUNT_ID))]
"""Keys, cleaned once, whatever way they come in."""
Accounts = AccountId | Annotated[list[AccountId], Field(min_length=1, max_length=MOST_ACCOUNTS)]
Zone = Annotated[Text, AfterValidator(canonical_zone)]
"""Stored by the place's canonical name, whatever older one was sent."""


class EventError(LockstepError, ValueError):
    """An event that cannot be used; each problem names its field and the reason.

    Args:
        problems: for whoever sent it: a letter that nobody can see is shown among its neighbours.
    """

    kind = Kind.NOT_VALID

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(self.kept)

    def told(self) -> list[str]:
        return self.problems

    @property
    def kept(self) -> str:
        """The problems as they may be stored and logged: without a letter of any value."""
        return "; ".join(map(unquoted, self.problems))


class NotJsonError(EventError):
    """What came is no document at all."""

    def __init__(self) -> None:
        super().__init__(["body: not JSON"])


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


Message = TypeVar("Message", bound=_Model)


class Worker(_Model):
    """Who leaves, by every key under which a system may know the person."""

    id: WorkerId = Field(description="HR's immutable id of the worker.", examples=["W-10442"])
    name: Name = Field(default="", description="Shown to operations; stored encrypted.")
    employee_number: EmployeeNumber | None = Field(default=None, examples=["10442"])
    external_id: ExternalId | None = Field(
        default=None, description="The directory's external id, if it differs."
    )
    usernames: UserNames = Field(default_factory=list, max_length=MOST_NAMES)
    emails: Emails = Field(default_factory=list, max_length=MOST_NAMES)
    accounts: dict[SystemId, Accounts] = Field(
        default_factory=dict,
        max_length=50,
        description="Immutable account ids by configured system, one or several, where HR knows"
        " them.",
        examples=[{"directory": "00u1a2b3c4"}, {"directory": ["00u1a2b3c4", "00u5d6e7f8"]}],
    )

    def account_keys(self) -> list[Key]:
        """Every account that HR has pinned."""
        return [
            Key(KeyKind.ACCOUNT_ID, value, system)
            for system, given in self.accounts.items()
            for value in dict.fromkeys([given] if isinstance(given, str) else given)
        ]


class Dates(_Model):
    """Civil dates with their meaning. Which of them ends access is decided by policy."""

    zone: Zone = Field(
        description="Place of the tz database whose dates these are; or UTC.",
        examples=["Asia/Manila"],
    )
    access_ends_at: Instant | None = Field(
        default=None, description="An explicit instant (RFC 3339 with offset); wins over all dates."
    )
    last_working_day: Day | None = Field(default=None, description="The last day worked.")
    garden_leave_start: Day | None = Field(
        default=None, description="The first day of paid absence without access."
    )
    employment_ends_on: Day | None = Field(
        default=None, description="The last day of employment or contract."
    )


class TerminationEvent(_Model):
    """HR's statement about one spell of one worker. A later statement has a higher revision."""

    schema_version: SchemaVersion = 1
    action: TerminationAction = TerminationAction.TERMINATED
    revision: Revision = Field(description="Grows with each statement on a spell.")
    recorded_at: Instant = Field(description="When HR recorded it (RFC 3339 with offset).")
    kind: TerminationKind
    worker: Worker
    spell: Text = Field(default="1", description="Which employment or contract of the worker ends.")
    hired_at: Instant | Day | None = Field(
        default=None,
        description="When that employment began: a civil date, or an instant with offset. It tells"
        " two employments apart that HR gives one spell; with `rehired`, the new one's beginning.",
    )
    dates: Dates
    partner: PlaceText = Field(default="", description="The BPO partner that employs the worker.")
    site: PlaceText = ""

    @model_validator(mode="after")
    def _dates_agree(self) -> TerminationEvent:
        check_dates(_dates(self.dates))
        return self


class FeedHeartbeat(_Model):
    """HR's word that it is there and has nothing to report. It opens nothing."""

    type: Literal["feed.heartbeat"]
    timestamp: Instant | None = Field(
        default=None, description="When it was made; the signed header is what counts."
    )


def read_message(raw: bytes) -> TerminationEvent | FeedHeartbeat:
    """Read what a source may send.

    Raises:
        EventError: with every problem found, by field; never quotes a value.
    """
    document = _decoded(raw)
    if document.get("type") == HEARTBEAT:
        return _validated(FeedHeartbeat, document)
    return read_event(document)


def parse_event(raw: bytes, *, tenant: str, source: str, event_id: str) -> Termination:
    """Read a generic termination event.

    Raises:
        EventError: with every problem found, by field; never quotes a value.
    """
    event = read_event(_decoded(raw))
    return to_termination(event, tenant=tenant, source=source, event_id=event_id)


@dataclass(frozen=True, slots=True)
class Statement:
    """One event of the inbox, read; of a local one also by whom, why, and who agreed."""

    termination: Termination
    actor: str = ""
    reason: str = field(default="", repr=False)
    second: str = ""


def local_body(
    event: TerminationEvent,
    *,
    actor: str,
    reason: str,
    second: str = "",
    numbered_by: str = "",
    case_id: str = "",
) -> bytes:
    """The inbox body of an event that a person entered here, and a ``second`` one agreed to.

    ``numbered_by`` is the source whose number the worker's id is; ``case_id`` the case they mean.
    """
    document = {"event": event.model_dump(mode="json"), "actor": actor, "reason": reason}
    more = {"second": second, "numbered_by": numbered_by, "case_id": case_id}
    document.update({name: value for name, value in more.items() if value})
    return json.dumps(document).encode()


def parse_statement(raw: bytes, *, tenant: str, source: str, event_id: str) -> Statement:
    """Read a stored event of any source; raises `EventError`."""
    if source != LOCAL_SOURCE:
        return Statement(parse_event(raw, tenant=tenant, source=source, event_id=event_id))
    document = json.loads(raw)
    termination = to_termination(
        read_event(document["event"]),
        tenant=tenant,
        source=source,
        event_id=event_id,
        numbered_by=document.get("numbered_by", ""),
    )
    termination = replace(termination, case_id=document.get("case_id", ""))
    return Statement(termination, document["actor"], document["reason"], document.get("second", ""))


def read_event(document: dict[str, object]) -> TerminationEvent:
    """Validate a decoded event; raises `EventError`."""
    return _validated(TerminationEvent, document)


def check_systems(event: TerminationEvent, known: Collection[str] | None) -> None:
    """Refuse an account of a system that is not configured: nobody would ever close it.

    ``known`` is None where the settings are not at hand; then the dispatcher tells operations.

    Raises:
        EventError: naming what is unknown, and what is known.
    """
    there = ", ".join(sorted(known or ()))
    unknown = unknown_systems(event.worker.account_keys(), known)
    if unknown:
        why = f"no system has this name; there are {there}"
        raise EventError([f"worker.accounts.{name}: {why}" for name in unknown])


def unknown_systems(keys: Iterable[Key], known: Collection[str] | None) -> list[str]:
    """Names of systems that an account is pinned in, and that are not configured."""
    if known is None:
        return []
    return sorted({key.system for key in keys if key.system and key.system not in known})


def of_unknown_systems(names: Iterable[str]) -> str:
    """What people are told of accounts that nobody will close."""
    return (
        f"worker.accounts names systems that are not in the settings: {', '.join(names)}. Nothing"
        " closes these accounts: look at them by hand"
    )


def _validated(model: type[Message], document: dict[str, object]) -> Message:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        rows = error.errors(include_url=False, include_input=False)
        raise EventError([_problem(row) for row in rows]) from None


def to_termination(
    event: TerminationEvent, *, tenant: str, source: str, event_id: str, numbered_by: str = ""
) -> Termination:
    """The normalised fact. Every key that was given is kept; the worker id is one of them."""
    worker = event.worker
    keys = worker.account_keys()
    keys.append(Key(KeyKind.WORKER_ID, worker.id))
    if worker.employee_number:
        keys.append(Key(KeyKind.EMPLOYEE_NUMBER, worker.employee_number))
    if worker.external_id:
        keys.append(Key(KeyKind.EXTERNAL_ID, worker.external_id))
    keys.extend(Key(KeyKind.USERNAME, name) for name in worker.usernames)
    keys.extend(Key(KeyKind.EMAIL, mail) for mail in worker.emails)
    return Termination(
        tenant=tenant,
        source=source,
        event_id=event_id,
        action=event.action,
        revision=event.revision,
        worker_id=worker.id,
        spell=event.spell,
        kind=event.kind,
        recorded_at=event.recorded_at.astimezone(UTC),
        dates=_dates(event.dates),
        keys=LeaverKeys(tuple(keys)),
        display_name=worker.name,
        partner=label(event.partner),
        site=label(event.site),
        hired_at=_utc(event.hired_at),
        numbered_by=numbered_by,
    )


def _utc(at: datetime | date | None) -> datetime | date | None:
    return at.astimezone(UTC) if isinstance(at, datetime) else at


def cutoff_of(termination: Termination, rule: CutoffRule) -> datetime:
    """The termination's cutoff by policy. Of `rehired`, which has none, when it was recorded.

    Raises:
        EventError: if the dates give none.
    """
    if termination.action is TerminationAction.REHIRED:
        return termination.recorded_at
    try:
        return compute_cutoff(termination.dates, termination.kind, termination.recorded_at, rule)
    except CutoffError as error:
        raise EventError([str(error)]) from None


def _dates(dates: Dates) -> EndDates:
    return EndDates(
        zone=dates.zone,
        access_ends_at=dates.access_ends_at.astimezone(UTC) if dates.access_ends_at else None,
        last_working_day=dates.last_working_day,
        garden_leave_start=dates.garden_leave_start,
        employment_ends_on=dates.employment_ends_on,
    )


def _decoded(raw: bytes) -> dict[str, object]:
    """JSON as RFC 8259 has it: UTF-8, no NaN, and no member that a second one could hide."""
    try:
        document = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except EventError:
        raise
    except (ValueError, RecursionError):
        raise NotJsonError from None
    if not isinstance(document, dict):
        raise EventError(["body: not a JSON object"])
    if _is_deeper(document, MAX_DEPTH):
        raise EventError([f"body: nested deeper than {MAX_DEPTH}"])
    return document


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for key, value in pairs:
        if key in document:
            raise EventError([f"body: the key {_shown(key)} stands twice"])
        if not key.isascii():  # none of ours is; and half a character breaks what comes after
            raise EventError(["body: a key that is not ASCII"])
        document[key] = value
    return document


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _is_deeper(value: object, levels: int) -> bool:
    """Whether ``value`` nests more than ``levels``; stops there, as a hostile body does not."""
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(item, levels - 1) for item in items)


def why_not_valid(row: Mapping[str, Any]) -> str:
    """The reason in plain words; what a rule of ours says stands behind pydantic's own prefix."""
    return str(row["msg"]).removeprefix("Value error, ")


def _problem(row: ErrorDetails) -> str:
    reason = why_not_valid(cast("Mapping[str, Any]", row))
    if not row["loc"] and row["type"] == "value_error":
        return reason  # a rule over several fields, which names them itself
    return ".".join(_shown(part) for part in row["loc"] or ("event",)) + ": " + reason


def _shown(part: str | int) -> str:
    """A key as it may be repeated and stored: one that could be a name or an address is not."""
    if isinstance(part, int) or part == "[key]" or _KEY.fullmatch(part):
        return str(part)
    return "?"
