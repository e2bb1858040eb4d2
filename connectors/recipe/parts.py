"""A checked recipe as the rows that the engine of all declared vendors runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from connectors.base import OptionSpec
from connectors.http import Dialect
from connectors.kit import options, pages
from connectors.kit.auth import ways
from connectors.kit.calls import Call, Listed, Wire, Words
from connectors.kit.faults import FaultRow, ReallyOk
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.options import Option
from connectors.kit.pages import Item, Pager, Shape, Total
from connectors.kit.paths import at
from connectors.kit.residuals import Outlives
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from connectors.recipe.shape import (
    CallRow,
    HoldingTable,
    ListRow,
    OptionRow,
    RecipeFile,
    ShutRow,
)
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.pace import Limit

KIND: Final = "recipe"
RECIPE: Final = replace(
    options.text("recipe", "the file that describes the system", required=True), is_path=True
)
_LACKING = (
    "The credential lacks {missing}.",
    "Give the credential {missing}, as the system's own administration calls it.",
)


def spec_of(recipe: RecipeFile) -> RestSpec:
    """The recipe as a vendor's spec."""
    base_url = options.address("base_url", "address of the service", default=recipe.address or None)
    revives = recipe.revives_on_unblock
    own = {name: _option(name, row) for name, row in recipe.options.items()}
    return RestSpec(
        kind=KIND,
        title=recipe.title,
        category=recipe.category,
        options=(RECIPE, base_url, *own.values()),
        base_url=base_url,
        auth=(_auth(recipe, own),),
        wire=_wire(recipe),
        record=_record(recipe),
        finding=_finding(recipe),
        sign_in=_sign_in(recipe),
        permissions=recipe.permissions,
        proves=recipe.proves,
        lacking=_LACKING,
        holdings=tuple(_holding(name, row) for name, row in recipe.holdings.items()),
        outlives=tuple(_outlives(row.what, row.bound, own) for row in recipe.residuals),
        things_outlive_it=recipe.things_outlive_it,
        limit=_limit(recipe),
        revives_on_unblock=None if revives is None else frozenset(revives),
        calls=recipe.calls,
    )


def _option(name: str, row: OptionRow) -> OptionSpec:
    match row.kind:
        case "secret":
            return options.secret(name, row.summary, required=True)
        case "choice":
            return options.choice(name, row.summary, row.choices, default=row.default or None)
        case "bound":
            return _bound(options.bound(name, row.summary), row.default)
        case "text":
            default = row.default or None
            return options.text(name, row.summary, default=default, required=row.required)


def _bound(row: Option[int | None], default: str) -> Option[int | None]:
    if not default:
        return row
    return Option(
        row.name,
        row.summary,
        required=False,
        default=default,
        parse=row.parse,
        absent=row.parse(default),
    )


def _auth(recipe: RecipeFile, own: dict[str, OptionSpec]) -> ways.Auth:
    def text(name: str) -> Option[str]:
        option = own[name]
        if not isinstance(option, Option):
            raise TypeError(name)  # every option of a recipe is a typed row
        return option

    match (way := recipe.auth).kind:
        case "bearer":
            return ways.bearer(text(way.secret))
        case "header":
            template = way.template.replace("{secret}", "{}")
            return ways.Header(text(way.secret), template, way.name)
        case "basic":
            return ways.Basic(text(way.user), text(way.password))
        case "client_credentials":
            pair = text(way.client_id), text(way.client_secret)
            return ways.ClientCredentials(*pair, path=way.path)


def _wire(recipe: RecipeFile) -> Wire:
    wire = recipe.wire
    dialect = Dialect(
        KIND,
        request_id_headers=wire.request_id,
        error_code=wire.error_code,
        faults=tuple(
            FaultRow(row.category, frozenset(row.codes), frozenset(row.statuses))
            for row in recipe.faults
        ),
        ok=ReallyOk(wire.ok.at, wire.ok.value) if wire.ok else None,
    )
    return Wire(dialect, effect_ok=frozenset(wire.accepted))


def _record(recipe: RecipeFile) -> Record:
    row = recipe.record
    return Record(
        _call(row.get, "record.get"),
        keys=tuple(KeyAt(kind, path) for kind, path in row.keys.items()),
        name=row.name,
        created=row.created,
        used=row.used,
        listed_too=row.listed_too,
    )


def _finding(recipe: RecipeFile) -> Finding:
    search, compared = recipe.search, recipe.find.compared
    fields = {KeyKind.USERNAME: compared.username, KeyKind.EMAIL: compared.email}
    return Finding(
        everybody=_listed(recipe.everybody, "everybody.list"),
        compared={kind: path for kind, path in fields.items() if path},
        search=_listed(search, "search.list") if search else None,
        search_name="search",
        proves=KeyKind(search.proves) if search else KeyKind.EMAIL,
        addresses_only=search.addresses_only if search else False,
        empty=Proof(recipe.find.empty),
    )


def _sign_in(recipe: RecipeFile) -> SignIn:
    row = recipe.sign_in
    is_one = len(row.doors) == 1
    return SignIn(
        doors=tuple(
            Door(door.at, door.shut, "{id}" if is_one else ".".join(door.at)) for door in row.doors
        ),
        block=Close(
            tuple(
                _call(call, f"sign_in.block_{number}" if number > 1 else "sign_in.block")
                for number, call in enumerate(row.block, 1)
            )
        ),
        guards=tuple(Guard(guard.at, guard.value) for guard in row.guards),
        off_since=row.off_since,
    )


def _holding(name: str, row: HoldingTable) -> Holding:
    return Holding(
        _listed(row, f"{name}.list"),
        {row.kind: always},
        Close((_call(row.close, f"{name}.close"),)),
        row.owner,
        mine=partial(_is_of, row.of) if row.of else _is_mine,
        stands=partial(_stands, row.shut) if row.shut else always,
        ref=partial(_ref, row.id),
        again=row.again,
    )


def _is_mine(_item: Item, _words: Words) -> bool:
    return True


def _is_of(field: str, item: Item, words: Words) -> bool:
    return str(item.get(field)) == words["id"]


def _stands(shut: ShutRow, item: Item) -> bool:
    said = at(item, shut.at)
    return not any(type(said) is type(value) and said == value for value in shut.values)


def _ref(field: str, item: Item) -> str:
    return str(item[field])


def _outlives(what: str, bound: int | str, own: dict[str, OptionSpec]) -> Outlives:
    if isinstance(bound, int):
        return Outlives(what, bound)
    option = own.get(bound)
    return Outlives(what, option if isinstance(option, Option) else None)


def _limit(recipe: RecipeFile) -> Limit | None:
    row = recipe.limit
    return Limit(row.calls, float(row.per_s), row.at_once) if row else None


def _listed(row: ListRow, operation: str) -> Listed:
    total = Total(row.total.at, row.total.header) if row.total else None
    shape = Shape(row.at, row.id, total, row.null_is_empty)
    return Listed(_call(row, operation), _pager(row), shape, row.most_pages)


def _pager(row: ListRow) -> Pager:
    if (page := row.page) is None:
        return pages.Whole()
    match page.kind:
        case "cursor":
            return pages.Cursor(page.param, page.at, page.size)
        case "link_header":
            return pages.LinkHeader(page.size)
        case "next_link":
            return pages.NextLink(page.at, page.size)
        case "offset" | "page":
            by_page = page.kind == "page"
            return pages.Offset(page.param, page.size, page.size_param, page.origin, by_page)


def _call(row: CallRow, operation: str) -> Call:
    method, _, path = row.call.partition(" ")
    return Call(method, path, operation, row.needs, row.params, row.body)
