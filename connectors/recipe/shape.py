"""What may stand in a recipe: every table and key, and of what type each value is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.faults import FaultCategory


def _call(value: object) -> object:
    return {"call": value} if isinstance(value, str) else value


def _calls(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _path(value: object) -> object:
    """``a.b`` is a path of two steps; a list stands for names that hold a dot themselves."""
    if isinstance(value, str):
        return tuple(value.split(".")) if value else ()
    return tuple(value) if isinstance(value, list) else value


FieldPath = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_path, json_schema_input_type=Any),
]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class OptionRow(_Table):
    """One thing that ``[systems.<name>]`` says of this very system."""

    kind: Literal["text", "secret", "choice", "bound"]
    summary: Text
    default: str = ""
    required: bool = False
    choices: tuple[Text, ...] = ()


class Bearer(_Table):
    kind: Literal["bearer"]
    secret: Word


class InHeader(_Table):
    kind: Literal["header"]
    secret: Word
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")] = "Authorization"
    template: str = "{secret}"


class NameAndPassword(_Table):
    kind: Literal["basic"]
    user: Word
    password: Word


class OAuth(_Table):
    kind: Literal["client_credentials"]
    client_id: Word
    client_secret: Word
    path: str = "/oauth/token"


Auth = Annotated[Bearer | InHeader | NameAndPassword | OAuth, Field(discriminator="kind")]


class CallRow(_Table):
    """One call: method and path, what it needs, and what goes with it."""

    call: str
    needs: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    body: Any = None


Call = Annotated[CallRow, BeforeValidator(_call, json_schema_input_type=Any)]


class ByCursor(_Table):
    kind: Literal["cursor"]
    param: Text
    at: FieldPath
    size: dict[str, int] = Field(default_factory=dict)


class ByLink(_Table):
    kind: Literal["link_header"]
    size: dict[str, int] = Field(default_factory=dict)


class ByNextLink(_Table):
    kind: Literal["next_link"]
    at: FieldPath
    size: dict[str, int] = Field(default_factory=dict)


class ByNumber(_Table):
    """``offset`` counts entries, ``page`` pages."""

    kind: Literal["offset", "page"]
    param: Text
    size_param: Text
    size: Annotated[int, Field(ge=1, le=1000)] = 100
    origin: Annotated[int, Field(ge=0, le=1)] = 0


Page = Annotated[ByCursor | ByLink | ByNextLink | ByNumber, Field(discriminator="kind")]


class TotalRow(_Table):
    at: FieldPath = ()
    header: str = ""


class ListRow(CallRow):
    at: FieldPath = ()
    id: Text = "id"
    page: Page | None = None
    total: TotalRow | None = None
    null_is_empty: bool = False
    most_pages: Annotated[int, Field(ge=1, le=1000)] = 50


class Search(ListRow):
    proves: Literal["email", "username"] = "email"
    addresses_only: bool = False


class Compared(_Table):
    email: FieldPath = ()
    username: FieldPath = ()


class Find(_Table):
    compared: Compared
    empty: Literal["listed", "unproved"] = "unproved"


class RecordTable(_Table):
    get: Call
    keys: dict[KeyKind, FieldPath] = Field(min_length=1)
    name: FieldPath = ()
    created: FieldPath = ()
    used: FieldPath = ()
    listed_too: bool = False


class DoorRow(_Table):
    at: Annotated[FieldPath, Field(min_length=1)]
    shut: bool | int | str


class GuardRow(_Table):
    at: Annotated[FieldPath, Field(min_length=1)]
    value: bool | int | str


class SignInTable(_Table):
    doors: tuple[DoorRow, ...] = Field(min_length=1)
    block: Annotated[
        tuple[Call, ...], BeforeValidator(_calls, json_schema_input_type=Any), Field(min_length=1)
    ]
    guards: tuple[GuardRow, ...] = ()
    off_since: FieldPath = ()


class ShutRow(_Table):
    """Which entries open nothing any more; one that does not say so stands."""

    at: Annotated[FieldPath, Field(min_length=1)]
    values: tuple[bool | int | str, ...] = Field(min_length=1)


class HoldingTable(ListRow):
    kind: AccessKind
    close: Call
    owner: str = ""
    of: str = ""
    shut: ShutRow | None = None
    again: bool = False


class ResidualRow(_Table):
    what: Word
    bound: int | str = "unknown"


class FaultRow(_Table):
    category: FaultCategory
    codes: tuple[str, ...] = ()
    statuses: tuple[Annotated[int, Field(ge=400, le=599)], ...] = ()


class OkRow(_Table):
    at: Annotated[FieldPath, Field(min_length=1)]
    value: bool | int | str = True


class WireTable(_Table):
    """How the system answers."""

    request_id: tuple[Text, ...] = ("x-request-id",)
    error_code: FieldPath = ("error",)
    accepted: tuple[Annotated[int, Field(ge=200, le=299)], ...] = (200, 201, 202, 204)
    ok: OkRow | None = None


class LimitTable(_Table):
    calls: Annotated[int, Field(ge=1, le=1_000_000)]
    per_s: Annotated[int, Field(ge=1, le=86_400)] = 1
    at_once: Annotated[int, Field(ge=0, le=10_000)] = 0


class RecipeFile(_Table):
    """The whole file."""

    title: Text
    category: Category = Category.SAAS
    address: str = ""
    proves: Text
    permissions: tuple[Text, ...] = ()
    calls: Annotated[int, Field(ge=1, le=1000)] = 6
    things_outlive_it: bool = False
    revives_on_unblock: tuple[AccessKind, ...] | None = None
    options: dict[Word, OptionRow] = Field(default_factory=dict)
    auth: Auth
    wire: WireTable = Field(default_factory=WireTable)
    record: RecordTable
    find: Find
    everybody: ListRow
    search: Search | None = None
    sign_in: SignInTable
    holdings: dict[Word, HoldingTable] = Field(default_factory=dict)
    residuals: tuple[ResidualRow, ...] = ()
    faults: tuple[FaultRow, ...] = ()
    limit: LimitTable | None = None
