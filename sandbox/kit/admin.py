"""The control interface that every simulated service has under `/sandbox/`.

It answers to loopback only: it hands out session tokens and undoes revocations. No vendor has
anything like it, and every answer says `"simulated": true`.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import unquote

from sandbox.kit.clock import iso
from sandbox.kit.faults import Fault, FaultError, Faults
from sandbox.kit.wire import Reply, Request, Response, json_response

__all__ = ["Control", "Simulated"]

Item = dict[str, Any]


class Simulated(Protocol):
    """What the control interface, and whoever runs it, needs of a service."""

    name: str
    faults: Faults
    lacks: dict[str, frozenset[str]]
    latency: float
    on_change: Callable[[], None]
    control: Callable[[Request], Response] | None

    def handle(self, request: Request) -> Reply:
        """Answer one request, or say how not to."""

    def seed(self, people: list[Item], shape: Item) -> int:
        """Give people accounts."""

    def state_of(self, word: str) -> list[Item]:
        """Everything known about a person."""

    def summary(self) -> Item:
        """Counts for a quick look."""

    def calls_of(self, word: str) -> list[Item]:
        """The effect calls about a person."""

    def restore(self, word: str, parts: Sequence[str]) -> int:
        """Give access back."""

    def use(self, word: str, what: str, *, refused: bool, at: str) -> int:
        """Write into the vendor's own log that a person did something, or was turned away."""

    def reset(self, *, keep_people: bool) -> None:
        """Start over."""

    def dump(self) -> Item:
        """Everything that must survive a restart, as JSON values."""

    def load(self, value: Item) -> None:
        """Take up what `dump` wrote."""


class Control:
    """Answers `/sandbox/...` for one service; with `?all=true` for all of them."""

    def __init__(self, service: Simulated, everybody: Mapping[str, Simulated]) -> None:
        self._service = service
        self._everybody = everybody

    def __call__(self, request: Request) -> Response:
        """Answer one control request."""
        if not _on_loopback(request.peer):
            return _answer(HTTPStatus.FORBIDDEN, {"error": "control is for loopback only"})
        try:
            return self._route(request)
        except (AttributeError, FaultError, KeyError, TypeError, ValueError) as error:
            return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": f"{error}"})

    def _route(self, request: Request) -> Response:
        _, _, area, *rest = request.path.split("/")
        word = unquote("/".join(rest))
        match request.method, area:
            case "GET", "state":
                response = self._state(word)
            case "GET", "calls":
                response = self._calls(request.query)
            case _, "faults":
                response = self._faults(request, word)
            case "POST", "seed":
                response = self._seed(request)
            case "POST", "restore":
                response = self._restore(request)
            case "POST", "use":
                response = self._use(request)
            case "POST", "reset":
                response = self._reset(request)
            case "POST", "tokens":
                response = self._tokens(request)
            case _:
                response = _answer(HTTPStatus.NOT_FOUND, {"error": "no such control"})
        return response

    def _reset(self, request: Request) -> Response:
        keep = bool(request.json().get("keep_people", False))
        for service in self._targets(request):
            service.reset(keep_people=keep)
        return _answer(HTTPStatus.OK, {"reset": True})

    def _tokens(self, request: Request) -> Response:
        value = request.json()
        self._service.lacks[str(value["token"])] = frozenset(value["lacks"])
        return _answer(HTTPStatus.OK, {"lacks": sorted(value["lacks"])})

    def _targets(self, request: Request) -> list[Simulated]:
        if request.query.get("all") == "true":
            return list(self._everybody.values())
        return [self._service]

    def _state(self, word: str) -> Response:
        if not word:
            return _answer(HTTPStatus.OK, self._service.summary())
        found = self._service.state_of(word)
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        return _answer(status, {"vendor": self._service.name, "accounts": found})

    def _calls(self, query: dict[str, str]) -> Response:
        calls = self._service.calls_of(query.get("user", ""))
        if "applied" in query:
            wanted = query["applied"] == "true"
            calls = [call for call in calls if call["applied"] is wanted]
        return _answer(HTTPStatus.OK, {"calls": calls})

    def _faults(self, request: Request, fault_id: str) -> Response:
        targets = self._targets(request)
        removed = 0
        match request.method:
            case "GET":
                pass
            case "PUT" | "POST":
                value = request.json()
                faults = [
                    Fault.from_json(v) for v in (value if isinstance(value, list) else [value])
                ]
                for service in targets:
                    if request.method == "PUT":
                        service.faults.remove()
                    for fault in faults:
                        service.faults.add(fault)
            case "DELETE":
                removed = sum(service.faults.remove(fault_id) for service in targets)
            case _:
                return _answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET, PUT, POST, DELETE"})
        for service in targets:
            service.on_change()
        armed = {service.name: service.faults.dump() for service in targets}
        faults_here = armed.get(self._service.name, [])
        return _answer(HTTPStatus.OK, {"faults": faults_here, "removed": removed})

    def _seed(self, request: Request) -> Response:
        value = request.json()
        people, shape = value["people"], value.get("shape", {})
        seeded = {s.name: s.seed(people, shape) for s in self._targets(request)}
        return _answer(HTTPStatus.OK, {"seeded": seeded})

    def _restore(self, request: Request) -> Response:
        value = request.json()
        restored = {
            s.name: s.restore(value["user"], value.get("parts", ())) for s in self._targets(request)
        }
        status = HTTPStatus.OK if any(restored.values()) else HTTPStatus.NOT_FOUND
        return _answer(status, {"restored": restored})

    def _use(self, request: Request) -> Response:
        value = request.json()
        used = self._service.use(
            value["user"],
            value.get("what", ""),
            refused=bool(value.get("refused", False)),
            at=value.get("at") or iso(),
        )
        status = HTTPStatus.OK if used else HTTPStatus.NOT_FOUND
        return _answer(status, {"used": used})


def _on_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _answer(status: HTTPStatus, value: Item) -> Response:
    return json_response(status, {"simulated": True, **value})
