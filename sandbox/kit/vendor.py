"""What every simulated vendor shares: routing, permissions, faults, and the log of effects.

The way of a request: find the route, check the credential, find the person it is about, ask the
faults, let the vendor's handler answer, write the call down.
"""

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from sandbox.kit.accounts import Account, Accounts, Item
from sandbox.kit.calls import Call, CallRecord, Route, Router
from sandbox.kit.clock import iso
from sandbox.kit.faults import SAFE_METHODS, Fault, FaultKind, Faults, Plan
from sandbox.kit.wire import Reply, Request, Response

__all__ = ["Vendor"]

Shape = Mapping[str, Any]


class Vendor(ABC):
    """A simulated vendor."""

    name: str
    title: str
    owned_parts: Sequence[str] = ()

    def __init__(self) -> None:
        self.accounts = Accounts(self.owned_parts)
        self.faults = Faults()
        self.calls: list[CallRecord] = []
        self.uses: list[Item] = []
        self.requests: Counter[int] = Counter()
        self.latency = 0.0
        self.on_change: Callable[[], None] = lambda: None
        self.lacks: dict[str, frozenset[str]] = {}
        self.control: Callable[[Request], Response] | None = None
        self._router = Router()
        self._sequence = itertools.count(1)
        for route in self.routes():
            self._router.add(route)

    # What a vendor must say about itself.

    @abstractmethod
    def routes(self) -> Iterable[Route]:
        """The operations of its API."""

    @abstractmethod
    def build(self, person: Item, shape: Shape) -> list[Account]:
        """The accounts, usually one, that a person has here with realistic access."""

    @abstractmethod
    def permit(self, request: Request) -> str | None:
        """The credential behind a request, or None when it is not accepted."""

    @abstractmethod
    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The account that a request is about, when it is about one."""

    @abstractmethod
    def refusal(self, status: int, detail: str = "") -> Response:
        """An error answer in the vendor's own words."""

    @abstractmethod
    def rate_limited(self, reset_after: int | None) -> Response:
        """The vendor's 429, with its way to say when to come back when `reset_after` is given."""

    @abstractmethod
    def standing(self, account: Account) -> Item:
        """What still stands for a person: the truth that a read-back must agree with."""

    def dress(self, response: Response, request_id: str) -> Response:
        """Add the headers that this vendor puts on every answer."""
        del request_id
        return response

    def settle(self, account: Account) -> None:
        """Complete what was to complete by now; nothing, unless a vendor says otherwise."""
        del account

    def public(self, request: Request) -> Response | None:
        """Answer requests that are not part of the vendor's API, such as a sign-in page."""
        del request
        return None

    # The way of a request.

    def handle(self, request: Request) -> Reply:
        """Answer one request, or say how not to."""
        reply = self._handle(request)
        self.requests[reply.response.status if reply.response else 0] += 1
        return reply

    def _handle(self, request: Request) -> Reply:
        found = self._router.match(request.method, request.path)
        if found is None:
            return Reply(self._beside_api(request))
        route, params = found
        request_id = f"sbx{next(self._sequence):017d}"
        credential = self.permit(request)
        if credential is None:
            refused = self.refusal(HTTPStatus.UNAUTHORIZED)
            return Reply(self.dress(refused, request_id), self.latency)
        if not self.allows(credential, route):
            refused = self.refusal(HTTPStatus.FORBIDDEN)
            return Reply(self.dress(refused, request_id), self.latency)
        call = Call(request, self.accounts, params, request_id)
        call.account = self.subject(request, params)
        if call.account is not None and call.account.pending:
            self.settle(call.account)
        if not self.faults.active:
            return self._carry_out(call, route, Plan())
        keys = call.account.keys if call.account else []
        plan = self.faults.plan(request.method, request.path, keys=keys, caller=credential)
        return self._carry_out(call, route, plan)

    def allows(self, credential: str, route: Route) -> bool:
        """Whether the credential has the permission; `area:write` takes away effects only."""
        lacks = self.lacks.get(credential)
        if not lacks:
            return True
        effect = route.method not in SAFE_METHODS
        return route.area not in lacks and not (effect and f"{route.area}:write" in lacks)

    def _beside_api(self, request: Request) -> Response:
        if request.path == "/":
            return self._root_page()
        answer = self.public(request)
        if answer is None and request.path.startswith("/sandbox/") and self.control is not None:
            answer = self.control(request)
        return answer or self.refusal(HTTPStatus.NOT_FOUND, request.path)

    def _root_page(self) -> Response:
        text = (
            f"SIMULATED {self.title}: a stand-in for demonstrations, tests and benchmarks.\n"
            f"Not {self.title}, and not connected with it. Every person and token is made up.\n"
        )
        return Response(HTTPStatus.OK, text.encode(), content_type="text/plain; charset=utf-8")

    def _carry_out(self, call: Call, route: Route, plan: Plan) -> Reply:
        delay = self.latency + plan.delay
        owner = call.account
        if plan.fault is not None:
            instead = self._instead(call.request, plan.fault)
            if instead is not None:
                self._record(call, owner, instead.status, plan.fault)
                return Reply(self.dress(instead, call.request_id), delay)
            if plan.kind is FaultKind.TIMEOUT:
                self._record(call, owner, 0, plan.fault)
                return Reply(None, delay + plan.fault.seconds)
        before = owner.copy() if owner and (plan.show_late_ms or plan.fault) else None
        response = self._answer(call, route, plan)
        if before is not None and plan.kind is FaultKind.SUCCESS_NOT_DONE:
            self.accounts.put(before)
            call.applied = False
        elif before is not None and owner and call.applied and plan.show_late_ms:
            self.accounts.show_late(before, owner, plan.show_late_ms)
        self._record(call, owner, response.status, plan.fault)
        if plan.kind is FaultKind.APPLIED_REPLY_LOST:
            return Reply(None, delay)
        return Reply(self.dress(response, call.request_id), delay)

    def _answer(self, call: Call, route: Route, plan: Plan) -> Response:
        call.read_late = plan.read_late
        owner = call.account
        if owner is not None:
            seen = call.see(owner)
            call.account = None if seen.deleted else seen
        response = route.handler(call)
        if call.applied and owner is not None:
            owner.touch()
        return response

    def _instead(self, request: Request, fault: Fault) -> Response | None:
        """The answer that a fault gives in place of the handler's, when it gives one."""
        response: Response | None = None
        match fault.kind:
            case FaultKind.RATE_LIMIT:
                response = self.rate_limited(fault.reset_after if fault.reset_header else None)
            case FaultKind.THROTTLE:
                response = self.rate_limited(1 if fault.reset_header else None)
            case FaultKind.SERVER_ERROR:
                response = self.refusal(fault.status or HTTPStatus.SERVICE_UNAVAILABLE)
            case FaultKind.UNAUTHORIZED:
                response = self.refusal(HTTPStatus.UNAUTHORIZED)
            case FaultKind.FORBIDDEN:
                response = self.refusal(HTTPStatus.FORBIDDEN)
            case FaultKind.ECHO_SECRET:
                secret = f"Authorization: {request.headers.get('authorization', '')}"
                response = self.refusal(fault.status or HTTPStatus.BAD_REQUEST, secret)
        return response

    def _record(self, call: Call, owner: Account | None, status: int, fault: Fault | None) -> None:
        request = call.request
        if request.method in SAFE_METHODS:
            return
        query = f"?{request.query_string}" if request.query_string else ""
        dropped = fault is not None and fault.kind in _DROPPING
        self.calls.append(
            CallRecord(
                at=iso(),
                method=request.method,
                path=request.path + query,
                status=int(status),
                applied=call.applied,
                delivered=not dropped,
                fault=fault.kind.value if fault else "",
                request_id=call.request_id,
                user=owner.id if owner else "",
            )
        )
        self.on_change()

    # What the control interface and the state file need.

    def seed(self, people: Iterable[Item], shape: Item) -> int:
        """Give these people accounts here; a person who is known already starts afresh."""
        count = 0
        for person in people:
            own = {**shape.get(self.name, {}), **person.get("shape", {}).get(self.name, {})}
            if own.get("absent"):
                continue
            for account in self.build({**person, "shape": {self.name: own}}, own):
                self.accounts.put(account)
                count += 1
        self.on_change()
        return count

    def named(self, word: str) -> list[Account]:
        """The accounts that a word names."""
        return self.accounts.named(word)

    def state_of(self, word: str) -> list[Item]:
        """Everything known about the accounts that a word names."""
        found = []
        for account in self.named(word):
            self.settle(account)
            found.append({"standing": self.standing(account), **account.dump()})
        return found

    def summary(self) -> Item:
        """Counts for a quick look."""
        return {
            "vendor": self.name,
            "simulated": True,
            "accounts": len(self.accounts),
            "effect_calls": len(self.calls),
            "requests": {str(status): n for status, n in sorted(self.requests.items())},
        }

    def calls_of(self, word: str) -> list[Item]:
        """The effect calls about one person, or all when the word is empty."""
        ids = {account.id for account in self.named(word)}
        return [asdict(c) for c in self.calls if not word or c.user in ids]

    def restore(self, word: str, parts: Sequence[str]) -> int:
        """Give access back, all of it or some parts; return how many accounts were restored."""
        named = self.named(word)
        for account in named:
            own = account.person["shape"][self.name]
            fresh = next(a for a in self.build(account.person, own) if a.id == account.id)
            if parts:
                kept = account.copy()
                for part in parts:
                    kept.parts[part] = fresh.parts[part]
                fresh = kept
            self.accounts.put(fresh)
        self.on_change()
        return len(named)

    def use(self, word: str, what: str, *, refused: bool, at: str) -> int:
        """Write into the log that these accounts were used; return how many there are.

        An empty `what` is what this vendor logs most.
        """
        named = self.named(word)
        for account in named:
            number = len(self.uses) + 1
            use = {"n": number, "user": account.id, "what": what, "refused": refused, "at": at}
            self.uses.append(use)
        self.on_change()
        return len(named)

    def reset(self, *, keep_people: bool) -> None:
        """Forget calls and faults, and the people too, or give everybody their access back."""
        people = [account.person for account in self.accounts]
        self.accounts.clear()
        self.faults.remove()
        self.calls.clear()
        self.uses.clear()
        self.requests.clear()
        if keep_people:
            self.seed(people, {})
        self.on_change()

    def dump(self) -> Item:
        """Everything that must survive a restart, as JSON values."""
        return {
            "accounts": self.accounts.dump(),
            "calls": [asdict(call) for call in self.calls],
            "uses": self.uses,
            "faults": self.faults.dump(),
        }

    def load(self, value: Item) -> None:
        """Take up what `dump` wrote."""
        self.accounts.load(value["accounts"])
        self.calls = [CallRecord(**call) for call in value["calls"]]
        self.uses = list(value.get("uses", ()))
        self.faults.load(value["faults"])


_DROPPING: Final = frozenset({FaultKind.TIMEOUT, FaultKind.APPLIED_REPLY_LOST})
