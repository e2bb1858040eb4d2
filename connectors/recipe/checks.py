"""What is wrong with a recipe whose every key and type is right: read as a whole, all at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.http import require_safe_url
from connectors.kit.options import UNKNOWN
from connectors.recipe.lines import Place
from connectors.recipe.shape import CallRow, HoldingTable, ListRow, RecipeFile
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind

OWN_OPTIONS = frozenset({"recipe", "base_url"})
"""What every recipe's system may say; an option of the file's own needs another name."""
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_LINE = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE) (/[^\s?#]*)")
_READS = frozenset({"GET"})
_SECRET_NAMES = re.compile(
    r"^(password|passwd|secret|token|api_?key|access_?key|private_?key|client_?secret"
    r"|authorization|auth_?token|bearer)$",
    re.IGNORECASE,
)
_SECRET_TEXTS = re.compile(
    r"(Bearer|Basic) [A-Za-z0-9._~+/=-]{8,}"
    r"|\b(sk|pk|rk)_(live|test)_[A-Za-z0-9]{8,}|\bgh[pousr]_[A-Za-z0-9]{16,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{8,}|\bAKIA[A-Z0-9]{16}\b|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s@]+@"
)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing, and the key at which it is to be mended."""

    place: Place
    reason: str


def problems(recipe: RecipeFile, document: dict[str, Any]) -> list[Wrong]:
    """Everything that the engine could not run, or that could prove an untrue thing."""
    return [
        *_secrets((), document),
        *_address(recipe),
        *_options(recipe),
        *_auth(recipe),
        *_record(recipe),
        *_finding(recipe),
        *_sign_in(recipe),
        *(wrong for name in recipe.holdings for wrong in _holding(recipe, name)),
        *_residuals(recipe),
    ]


def _secrets(place: Place, value: object) -> Iterator[Wrong]:
    """A credential in the file; it is never quoted."""
    match value:
        case dict():
            for key, inner in value.items():
                here = (*place, key)
                in_call = "params" in place or "body" in place
                if in_call and isinstance(inner, str) and _SECRET_NAMES.match(key):
                    yield Wrong(here, "looks like a secret: a recipe holds none; see [auth]")
                else:
                    yield from _secrets(here, inner)
        case list():
            for number, inner in enumerate(value):
                yield from _secrets((*place, number), inner)
        case str() if _SECRET_TEXTS.search(value):
            yield Wrong(
                place,
                "looks like a secret: a recipe holds none; make it an option of kind secret,"
                " which [systems.<name>] gives as env:NAME or file:PATH",
            )


def _address(recipe: RecipeFile) -> Iterator[Wrong]:
    try:
        if recipe.address:
            require_safe_url(recipe.address, option="address")
    except ValueError as error:
        yield Wrong(("address",), str(error).removeprefix("address: "))


def _options(recipe: RecipeFile) -> Iterator[Wrong]:
    used = set(_secret_names(recipe))
    for name, row in recipe.options.items():
        here: Place = ("options", name)
        if name in OWN_OPTIONS or name in {"id", "locator", "value", "ref"}:
            yield Wrong(here, "this name is taken: choose another")
        if row.kind == "secret" and row.default:
            yield Wrong((*here, "default"), "a secret has no default: a recipe holds none")
        if row.kind == "secret" and name not in used:
            yield Wrong(here, "a secret that [auth] does not use: remove it")
        if (row.kind == "choice") != bool(row.choices):
            yield Wrong(here, "choices: what a choice has, and nothing else has")
        elif row.default and row.kind == "choice" and row.default not in row.choices:
            yield Wrong((*here, "default"), "is none of the choices")
        if row.kind == "bound" and row.default not in {"", UNKNOWN} and not _is_whole(row.default):
            yield Wrong((*here, "default"), f'whole seconds as text ("3600"), or "{UNKNOWN}"')
        if row.kind != "secret" and row.required and row.default:
            yield Wrong((*here, "required"), "what has a default is not required")


def _secret_names(recipe: RecipeFile) -> tuple[str, ...]:
    match recipe.auth.kind:
        case "bearer" | "header":
            return (recipe.auth.secret,)
        case "basic":
            return (recipe.auth.user, recipe.auth.password)
        case "client_credentials":
            return (recipe.auth.client_id, recipe.auth.client_secret)


def _auth(recipe: RecipeFile) -> Iterator[Wrong]:
    auth = recipe.auth
    fields = {"bearer": ("secret",), "header": ("secret",), "basic": ("user", "password")}
    for field in fields.get(auth.kind, ("client_id", "client_secret")):
        name = getattr(auth, field)
        row = recipe.options.get(name)
        public = field in {"user", "client_id"}
        if row is None:
            yield Wrong(("auth", field), f"there is no option {name}: describe it in [options]")
        elif row.kind != "secret" and not (public and row.kind == "text"):
            yield Wrong(("auth", field), f"the option {name} must be of kind secret")
    if auth.kind == "header" and _PLACE.findall(auth.template) != ["secret"]:
        yield Wrong(("auth", "template"), "holds {secret} once, and no other place")
    elif auth.kind == "header" and re.search(r"[{}]|[^ -~]", _PLACE.sub("", auth.template)):
        yield Wrong(("auth", "template"), "plain letters around {secret}, no other braces")
    if auth.kind == "client_credentials" and not auth.path.startswith("/"):
        yield Wrong(("auth", "path"), "begins with / and stands below the system's address")


def _record(recipe: RecipeFile) -> Iterator[Wrong]:
    yield from _call(recipe, ("record", "get"), recipe.record.get, {"id"}, reads=True)
    if "{id}" not in recipe.record.get.call:
        yield Wrong(("record", "get"), "must name the account: put {id} into the path")
    for kind, path in recipe.record.keys.items():
        here: Place = ("record", "keys", kind.value)
        if kind is KeyKind.ACCOUNT_ID:
            yield Wrong(here, "the account's own id is no key of the person: remove it")
        if not path:
            yield Wrong(here, "say in which field it stands")
        for step in path:
            yield from _places(recipe, here, step, set())


def _finding(recipe: RecipeFile) -> Iterator[Wrong]:
    yield from _list(recipe, ("everybody",), recipe.everybody, set())
    compared = {"email": recipe.find.compared.email, "username": recipe.find.compared.username}
    if not any(compared.values()):
        yield Wrong(("find", "compared"), "give email or username: else nobody can be found")
    for kind, path in compared.items():
        if path and path not in recipe.record.keys.values():
            yield Wrong(
                ("find", "compared", kind),
                "this field is none of record.keys: what finds somebody must be told with them",
            )
    search = recipe.search
    if search is None:
        return
    yield from _list(recipe, ("search",), search, {"value"})
    if "{value}" not in f"{search.call} {search.params} {search.body}":
        yield Wrong(("search",), "must say for whom: put {value} into the path or the params")
    if search.id != recipe.everybody.id:
        yield Wrong(("search", "id"), "must name the same field as everybody.id")
    if KeyKind(search.proves) not in recipe.record.keys:
        yield Wrong(("search", "proves"), f"record.keys has no {search.proves}: nothing proves it")


def _sign_in(recipe: RecipeFile) -> Iterator[Wrong]:
    for number, call in enumerate(recipe.sign_in.block):
        place: Place = ("sign_in", "block", number)
        yield from _call(recipe, place, call, {"id", "locator"}, reads=False)
        if not {"id", "locator"} & set(_PLACE.findall(_text(call))):
            yield Wrong(place, "must name the account: put {id} into the path")
    again = Counter(door.at for door in recipe.sign_in.doors)
    for number, door in enumerate(recipe.sign_in.doors):
        if again[door.at] > 1:
            yield Wrong(("sign_in", "doors", number), "this field is given twice")


def _holding(recipe: RecipeFile, name: str) -> Iterator[Wrong]:
    row = recipe.holdings[name]
    here: Place = ("holdings", name)
    yield from _list(recipe, here, row, {"id", "locator"})
    yield from _call(recipe, (*here, "close"), row.close, {"id", "locator", "ref"}, reads=False)
    if row.kind is AccessKind.SIGN_IN:
        yield Wrong((*here, "kind"), "the sign-in is [sign_in]: give another kind")
    if "ref" not in _PLACE.findall(_text(row.close)):
        yield Wrong((*here, "close"), "must name what it closes: put {ref} into the path")
    yield from _whose(here, row)


def _whose(here: Place, row: HoldingTable) -> Iterator[Wrong]:
    """A list of which it is not known whose its entries are would close strangers' things."""
    in_path = bool({"id", "locator"} & set(_PLACE.findall(row.call)))
    asked = bool({"id", "locator"} & set(_PLACE.findall(_text(row))))
    if row.owner and row.of:
        yield Wrong((*here, "of"), "give owner (a list of one account's) or of (of everybody's)")
    elif not asked and not row.of:
        yield Wrong(
            here, "nothing says whose an entry is: put {id} into the path, or give owner or of"
        )
    elif asked and not in_path and not row.owner and not row.of:
        yield Wrong(
            here,
            "owner: name the field of an entry that holds the account's id: a server that does"
            " not heed the filter would have strangers' things closed",
        )


def _residuals(recipe: RecipeFile) -> Iterator[Wrong]:
    for number, row in enumerate(recipe.residuals):
        here: Place = ("residuals", number, "bound")
        if isinstance(row.bound, int):
            if row.bound < 0:
                yield Wrong(here, "whole seconds, 0 or more")
        elif row.bound != UNKNOWN:
            option = recipe.options.get(row.bound)
            if option is None or option.kind != "bound":
                yield Wrong(here, f'seconds, "{UNKNOWN}", or the name of an option of kind bound')


def _list(recipe: RecipeFile, here: Place, row: ListRow, filled: set[str]) -> Iterator[Wrong]:
    yield from _call(recipe, here, row, filled, reads=True)
    if row.total is not None and bool(row.total.at) == bool(row.total.header):
        yield Wrong((*here, "total"), "give at or header, one of them")


def _call(
    recipe: RecipeFile, here: Place, call: CallRow, filled: set[str], *, reads: bool
) -> Iterator[Wrong]:
    at = (*here, "call")
    found = _LINE.fullmatch(call.call)
    if found is None:
        yield Wrong(
            at, 'a method and a path, for instance "GET /people/{id}"; a query belongs in params'
        )
    elif reads and found[1] not in _READS:
        yield Wrong(at, "a recipe reads with GET only")
    elif not reads and found[1] in {"GET", "HEAD"}:
        yield Wrong(at, "a GET closes nothing: use POST, PUT, PATCH or DELETE")
    if reads and call.body is not None:
        yield Wrong((*here, "body"), "a read has none: use params")
    yield from _places(recipe, at, call.call, filled)
    for key, value in call.params.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            yield Wrong((*here, "params", key), "a text or a whole number")
        else:
            yield from _places(recipe, (*here, "params", key), str(value), filled)
    yield from _inside(recipe, (*here, "body"), call.body, filled)


def _inside(recipe: RecipeFile, here: Place, value: object, filled: set[str]) -> Iterator[Wrong]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _inside(recipe, (*here, key), inner, filled)
        case list():
            for number, inner in enumerate(value):
                yield from _inside(recipe, (*here, number), inner, filled)
        case str():
            yield from _places(recipe, here, value, filled)


def _places(recipe: RecipeFile, here: Place, text: str, filled: Iterable[str]) -> Iterator[Wrong]:
    """Braces that nothing fills."""
    plain = {name for name, row in recipe.options.items() if row.kind != "secret"}
    known = {*filled, *plain}
    for name in dict.fromkeys(_PLACE.findall(text)):
        if name in recipe.options and name not in known:
            yield Wrong(here, f"{{{name}}} is a secret: it goes with every call by [auth] only")
        elif name not in known:
            shown = ", ".join(f"{{{each}}}" for each in sorted(known)) or "no place at all"
            yield Wrong(here, f"nothing fills {{{name}}}: here stands {shown}")
    if re.search(r"[{}]", _PLACE.sub("", text)):
        yield Wrong(here, "a brace that is no {name}: a recipe knows no expressions")


def _text(call: CallRow) -> str:
    return f"{call.call} {call.params} {call.body}"


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()
