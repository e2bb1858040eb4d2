"""The simulated Kisi organisation.

Facts come from Kisi's API description (https://api.kisi.io/docs; copy at api-evangelist/kisi,
`openapi/kisi-*-api-openapi.yml`).
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import iso
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response
from sandbox.vendors.kisi.events import EventSets
from sandbox.vendors.kisi.seed import KISI_PARTS, build_account

__all__ = ["Kisi"]

# Part of the path, and the query parameters that name a person in it. `user_id` is deprecated for
# role and card assignments and was never offered for team memberships.
ASSIGNEE: Final = {
    "role_assignments": ("assignee_type", "assignee_id"),
    "card_assignments": ("assignee_type", "assignee_id"),
    "team_memberships": ("member_type", "member_id"),
}
WRITABLE: Final = frozenset(
    {"name", "access_enabled", "password_flow_enabled", "notes", "metadata"}
)


def refuse(status: int, message: str, code: str) -> Response:
    """An error as Kisi writes one."""
    return json_response(status, {"error": message, "code": code})


def invalid(**fields: str) -> Response:
    """422 with the reason per field."""
    errors = {name: [reason] for name, reason in fields.items()}
    return json_response(HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": errors})


def done() -> Response:
    """204; Kisi answers every effect without a body."""
    return Response(HTTPStatus.NO_CONTENT)


def collection(call: Call, items: list[Item], *, default: int, most: int) -> Response:
    """A slice of a list with its place in `X-Collection-Range: start-end/total`."""
    query = call.request.query
    try:
        limit, offset = int(query.get("limit", default)), int(query.get("offset", 0))
    except ValueError:
        return invalid(limit="is not a number")
    limit, offset = min(max(limit, 1), most), max(offset, 0)
    body = json.dumps(items[offset : offset + limit], separators=(",", ":")).encode()
    span = f"{offset}-{offset + limit - 1}/{len(items)}"
    return Response(HTTPStatus.OK, body, [("X-Collection-Range", span)])


class Kisi(Vendor):
    """A simulated Kisi organisation."""

    name = "kisi"
    title = "Kisi"
    owned_parts = KISI_PARTS

    def __init__(self, key: str) -> None:
        self._log = EventSets(self)
        super().__init__()
        self._key = key

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        lists = [Route("GET", "/logins", "logins", self._list_logins)]
        lists += [Route("GET", f"/{part}", part, self._list_assigned) for part in ASSIGNEE]
        items = [
            route
            for part in KISI_PARTS
            for route in (
                Route("GET", f"/{part}/{{item}}", part, self._get_item),
                Route("DELETE", f"/{part}/{{item}}", part, self._delete_item),
            )
        ]
        card, cards = "/card_assignments/{item}", "card_assignments"
        return (
            Route("GET", "/users", "users", self._list_users),
            Route("GET", "/users/{user}", "users", self._get_user),
            Route("PATCH", "/users/{user}", "users", self._patch_user),
            Route("DELETE", "/users/{user}", "users", self._delete_user),
            Route("GET", "/group_links", "group_links", self._list_links),
            Route("POST", "/event_sets", "event_sets", self._log.order),
            Route("GET", "/event_sets/{set}", "event_sets", self._log.show),
            Route("PATCH", card, cards, self._patch_card),
            Route("POST", f"{card}/deactivate", cards, self._deactivate_card),
            Route("POST", f"{card}/activate", cards, self._activate_card),
            *lists,
            *items,
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user."""
        return [build_account(person, shape)]

    def permit(self, request: Request) -> str | None:
        """Accept `KISI-LOGIN <key>`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        known = scheme == "KISI-LOGIN" and (key == self._key or key in self.lacks)
        return key if known else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path or the query, or the owner of the item in the path."""
        if "user" in params:
            return self.accounts.get(params["user"])
        if "item" in params:
            return self.accounts.owner_of(params["item"])
        query = request.query
        for name in ("assignee_id", "member_id", "user_id", "email", "query"):
            if name in query:
                named = self.accounts.named(query[name])
                return named[0] if len(named) == 1 else None
        return None

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Kisi's words."""
        words = {
            HTTPStatus.UNAUTHORIZED: ("Unauthorized", "sbx401"),
            HTTPStatus.FORBIDDEN: ("You are not permitted to perform this action", "sbx403"),
            HTTPStatus.NOT_FOUND: ("Not found", "sbx404"),
        }
        message, code = words.get(HTTPStatus(status), ("Internal error", f"sbx{int(status)}"))
        return refuse(status, detail or message, code)

    def rate_limited(self, reset_after: int | None) -> Response:
        """429, with `Retry-After` in seconds or without."""
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "sbx429")
        if reset_after is not None:
            response.headers.append(("Retry-After", str(reset_after)))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still open here."""
        doc, parts = account.doc, account.parts
        enabled = doc["access_enabled"] and doc["scim_access_enabled"] and not account.deleted
        return {
            "sign_in": doc["password_flow_enabled"] and not account.deleted,
            "doors": enabled,
            "status": "deleted" if account.deleted else "present",
            "logins": len(parts["logins"]),
            "role_assignments": len(parts["role_assignments"]),
            "cards": sum(c["status"] == "activated" for c in parts["card_assignments"]),
            "team_memberships": len(parts["team_memberships"]),
        }

    # Users.

    def _list_users(self, call: Call) -> Response:
        query = call.request.query
        everybody = call.everybody()
        if "email" in query:
            wanted = query["email"].lower()
            everybody = [a for a in everybody if a.doc["email"].lower() == wanted]
        if query.get("query"):
            text = query["query"].lower()
            everybody = [a for a in everybody if text in _searched(a)]
        # The specification allows 100 here, less than for every other collection.
        return collection(call, [a.doc for a in everybody], default=50, most=100)

    def _get_user(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        return json_response(HTTPStatus.OK, call.account.doc)

    def _patch_user(self, call: Call) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        try:
            changes = dict(call.request.json()["user"])
        except (KeyError, TypeError, ValueError):
            return invalid(user="is missing")
        # `scim_access_enabled` is read-only: it is SCIM's, and a PATCH of it changes nothing.
        news = {k: v for k, v in changes.items() if k in WRITABLE and account.doc[k] != v}
        if news:
            account.doc.update(news, updated_at=iso())
            call.applied = True
        return done()

    def _delete_user(self, call: Call) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        if account.person.get("shape", {}).get("kisi", {}).get("owner"):
            return invalid(base="The owner of an organization cannot be deleted")
        account.deleted = call.applied = True
        for part in KISI_PARTS:
            account.parts[part].clear()
        return done()

    def _list_links(self, call: Call) -> Response:
        """Links that open a group's doors; whoever holds one needs no user."""
        links = [link for a in self.accounts for link in a.parts["group_links"]]
        return collection(call, links, default=10, most=250)

    # Logins, roles, cards, teams.

    def _list_logins(self, call: Call) -> Response:
        """Logins of `user_id`; without it those of the caller, which are not a leaver's."""
        mine = call.request.query.get("user_id", "me") == "me"
        account = None if mine else call.account
        logins = account.parts["logins"] if account else []
        return collection(call, logins, default=10, most=250)

    def _list_assigned(self, call: Call) -> Response:
        part = call.request.path.strip("/")
        query = call.request.query
        type_name, id_name = ASSIGNEE[part]
        if part == "team_memberships" and "user_id" in query:
            # The vendor ignores parameters that it does not know, so this would list everybody's
            # memberships and a connector would then remove them. Loud here, so it is found here.
            return invalid(user_id="is no filter here: use member_type=User and member_id")
        if id_name in query and type_name not in query:
            return invalid(**{id_name: f"must be used with {type_name}"})
        by_person = id_name in query or "user_id" in query
        accounts = ([call.account] if call.account else []) if by_person else call.everybody()
        items = [item for account in accounts for item in account.parts[part]]
        if query.get(type_name, "User") != "User":
            items = []
        if "status" in query:
            items = [item for item in items if item.get("status") == query["status"]]
        return collection(call, items, default=10, most=250)

    def _item(self, call: Call) -> tuple[str, Item | None]:
        part = call.request.path.split("/")[1]
        return part, call.account.item(part, call.params["item"]) if call.account else None

    def _get_item(self, call: Call) -> Response:
        _, item = self._item(call)
        return json_response(HTTPStatus.OK, item) if item else self.refusal(HTTPStatus.NOT_FOUND)

    def _delete_item(self, call: Call) -> Response:
        part, item = self._item(call)
        if item is None or call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        call.account.take(part, call.params["item"])
        call.applied = True
        return done()

    def _patch_card(self, call: Call) -> Response:
        """Only the second-factor pin can be patched; the status has operations of its own."""
        _, item = self._item(call)
        if item is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        try:
            pin = call.request.json()["card_assignment"].get("two_factor_pin")
        except (AttributeError, KeyError, TypeError, ValueError):
            return invalid(card_assignment="is missing")
        call.applied = item["two_factor_pin"] != pin
        item["two_factor_pin"] = pin
        return done()

    def _set_card(self, call: Call, status: str) -> Response:
        _, item = self._item(call)
        if item is None:
            return self.refusal(HTTPStatus.NOT_FOUND)
        call.applied = item["status"] != status
        item.update(status=status, updated_at=iso())
        return done()

    def _deactivate_card(self, call: Call) -> Response:
        return self._set_card(call, "deactivated")

    def _activate_card(self, call: Call) -> Response:
        return self._set_card(call, "activated")


def _searched(account: Account) -> str:
    """The properties that `query` looks at: e-mail, name, notes."""
    doc = account.doc
    return f"{doc['email']}\n{doc['name']}\n{doc['notes'] or ''}".lower()
