"""Calls to a simulated vendor's API: how they are routed, seen by handlers, and remembered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from sandbox.kit.accounts import Account, Accounts
from sandbox.kit.wire import Request, Response

__all__ = ["Call", "CallRecord", "Route", "Router"]


@dataclass(slots=True)
class Call:
    """One authorised request to the vendor's API, as a handler sees it."""

    request: Request
    accounts: Accounts
    params: dict[str, str]
    request_id: str
    account: Account | None = None
    applied: bool = False
    read_late: bool = False

    def see(self, account: Account) -> Account:
        """The account as this call sees it: delayed, when a fault delays reads."""
        return self.accounts.as_seen(account) if self.read_late else account

    def everybody(self) -> list[Account]:
        """All accounts that exist for this call."""
        seen = map(self.see, self.accounts) if self.read_late else self.accounts
        return [account for account in seen if not account.deleted]


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of the vendor's API.

    Attributes:
        method: HTTP method.
        template: path with `{name}` for a parameter.
        area: the permission that it needs.
        handler: answers it.
    """

    method: str
    template: str
    area: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One effect call: the vendor's own memory of what it was asked and what it did.

    Attributes:
        at: when it arrived.
        method: HTTP method.
        path: path with the query.
        status: the answer's status; 0 when there was no answer to give.
        applied: whether it changed anything.
        delivered: whether the answer was sent.
        fault: kind of the fault that hit it, or empty.
        request_id: the vendor's id of the request.
        user: id of the account that it was about, or empty.
    """

    at: str
    method: str
    path: str
    status: int
    applied: bool
    delivered: bool
    fault: str
    request_id: str
    user: str


@dataclass(slots=True)
class Router:
    """Routes by method and number of path segments; literals win over parameters."""

    table: dict[tuple[str, int], list[tuple[tuple[str, ...], Route]]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)

    def add(self, route: Route) -> None:
        segments = tuple(route.template.split("/"))
        rows = self.table.setdefault((route.method, len(segments)), [])
        rows.append((segments, route))
        rows.sort(key=lambda row: sum(part.startswith("{") for part in row[0]))

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        given = path.split("/")
        for segments, route in self.table.get((method, len(given)), ()):
            params = {}
            for wanted, part in zip(segments, given, strict=True):
                if wanted.startswith("{"):
                    params[wanted[1:-1]] = unquote(part) if "%" in part else part
                elif wanted != part:
                    break
            else:
                return route, params
        return None
