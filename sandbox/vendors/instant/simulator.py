"""Instant: a vendor that does not exist, with as little in the way as possible.

The benchmark measures Lockstep against it. Every worker key has an account: what is not stored is
as it was on the first day, so millions of leavers need no seeding and no memory until they are
switched off.

- `GET /accounts?key=K` -> `{"accounts":[{"id","signed_in","sessions","changed_at"}]}`; and
  `seat`, true until it is switched off, where it was seeded with one
- `GET /accounts/{id}` -> one of these
- `POST /accounts/{id}/off` -> the account, off; the first call decides `changed_at`
- `GET /people?after=KEY` -> `{"accounts":[...],"next":KEY}`: those who were seeded or switched off
- `POST /off` `{"ids":[...]}` -> `{"accounts":[...]}`, at most a hundred
- `GET /accounts/{id}/uses?since=AT` -> `{"uses":[{"id","at","what","refused"}],"from":AT}`
- `GET /accounts/{id}/robots` -> `{"robots":[{"id","name"}]}`
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from sandbox.kit.accounts import Item
from sandbox.kit.clock import iso
from sandbox.kit.faults import Fault, FaultKind, Faults, Plan
from sandbox.kit.wire import Reply, Request, Response, json_response
from sandbox.vendors.instant.beyond import Beyond

__all__ = ["Instant"]

PREFIX: Final = "acc-"
OFF: Final = "/off"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._@:-]+")


class Instant:
    """The smallest vendor that Lockstep can revoke access in."""

    name = "instant"

    def __init__(self, token: str) -> None:
        self.faults = Faults()
        self.lacks: dict[str, frozenset[str]] = {}
        self.latency = 0.0
        self.on_change: Callable[[], None] = lambda: None
        self.control: Callable[[Request], Response] | None = None
        self._bearer = f"Bearer {token}"
        self._off: dict[str, str] = {}
        self._again: Counter[str] = Counter()
        self._requests = 0
        self._beyond = Beyond(self._off, self._switch, self._told, _key_of_id)

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        path = request.path
        if not path.startswith(("/accounts", "/people", "/off")):
            return Reply(self._beside_api(request))
        self._requests += 1
        if request.headers.get("authorization") != self._bearer:
            return Reply(_error(HTTPStatus.UNAUTHORIZED, "unauthorized"), self.latency)
        key = self._key(request)
        if key is None:
            more = self._beyond.answer(request)
            return Reply(more or _error(HTTPStatus.NOT_FOUND, "not found"), self.latency)
        if not self.faults.active:
            return Reply(self._answer(request, key), self.latency)
        caller = request.headers["authorization"]
        plan = self.faults.plan(request.method, path, keys=[key.lower()], caller=caller)
        return self._faulty(request, key, plan)

    def _key(self, request: Request) -> str | None:
        """The worker key that a request is about."""
        path = request.path
        if path == "/accounts":
            # Read by hand: this is half of the benchmark's requests.
            name, _, value = request.query_string.partition("=")
            if name == "key" and "&" not in value and "+" not in value:
                return unquote(value) if "%" in value else value
            return request.query.get("key")
        if not path.startswith(f"/accounts/{PREFIX}"):
            return None
        end = -len(OFF) if request.method == "POST" else None
        if request.method == "POST" and not path.endswith(OFF):
            return None
        key = path[len("/accounts/") + len(PREFIX) : end]
        return None if "/" in key else _key_of(unquote(key) if "%" in key else key)

    def _answer(self, request: Request, key: str) -> Response:
        if request.method == "POST" and request.path != "/accounts":
            self._switch(key)
        elif request.method != "GET":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
        account = self._account(key)
        if request.path == "/accounts":
            return Response(HTTPStatus.OK, b'{"accounts":[' + account + b"]}")
        return Response(HTTPStatus.OK, account)

    def _switch(self, key: str) -> None:
        if key in self._off:
            self._again[key] += 1
        else:
            self._off[key] = iso()
            self.on_change()

    def _told(self, key: str) -> Item:
        account: Item = json.loads(self._account(key))
        return {**account, "worker_id": key}

    def _account(self, key: str) -> bytes:
        name = _name_of(key)
        at = self._off.get(key)
        if at is None:
            text = f'{{"id":"{PREFIX}{name}","signed_in":true,"sessions":2,"changed_at":null'
        else:
            text = f'{{"id":"{PREFIX}{name}","signed_in":false,"sessions":0,"changed_at":"{at}"'
        if self._beyond.has_seat(key):
            text += ',"seat":true' if at is None else ',"seat":false'
        return (text + "}").encode()

    def _faulty(self, request: Request, key: str, plan: Plan) -> Reply:
        delay = self.latency + plan.delay
        fault = plan.fault
        if fault is None:
            return Reply(self._answer(request, key), delay)
        if fault.kind is FaultKind.TIMEOUT:
            return Reply(None, delay + fault.seconds)
        instead = _instead(request, fault)
        if instead is not None:
            return Reply(instead, delay)
        was = self._off.get(key)
        response = self._answer(request, key)
        if fault.kind is FaultKind.SUCCESS_NOT_DONE and was is None:
            self._off.pop(key, None)
        lost = fault.kind is FaultKind.APPLIED_REPLY_LOST
        return Reply(None if lost else response, delay)

    def _beside_api(self, request: Request) -> Response:
        if request.path == "/":
            text = b"SIMULATED vendor Instant: a stand-in for benchmarks. Everybody is made up.\n"
            return Response(HTTPStatus.OK, text, content_type="text/plain; charset=utf-8")
        if request.path.startswith("/sandbox/") and self.control is not None:
            return self.control(request)
        return _error(HTTPStatus.NOT_FOUND, "not found")

    # The control interface's side.

    def seed(self, people: list[Item], shape: Item) -> int:
        """Everybody has an account already: these are in the list, with their robots."""
        for person in people:
            own = {**shape.get(self.name, {}), **person.get("shape", {}).get(self.name, {})}
            key = str(person["worker_id"])
            robots = [
                {"id": f"{key}-{n}", "name": f"robot {n}"} for n in range(own.get("robots", 0))
            ]
            self._beyond.people[key] = {"robots": robots, "seat": bool(own.get("seat"))}
        self.on_change()
        return len(people)

    def state_of(self, word: str) -> list[Item]:
        """The account of a worker key."""
        off = word in self._off
        seat = self._beyond.has_seat(word) and not off
        standing = {"sign_in": not off, "sessions": 0 if off else 2, "seat": seat}
        account_id = PREFIX + _name_of(word)
        return [{"standing": standing, "id": account_id, "changed_at": self._off.get(word)}]

    def summary(self) -> Item:
        """Counts for a quick look."""
        return {
            "vendor": self.name,
            "simulated": True,
            "off": len(self._off),
            "off_again": sum(self._again.values()),
            "requests": self._requests,
        }

    def calls_of(self, word: str) -> list[Item]:
        """What is remembered of effect calls: the first, and how many came after it."""
        keys = [word] if word else list(self._off)
        found: list[Item] = []
        for key in keys:
            if key not in self._off:
                continue
            path = f"/accounts/{PREFIX}{_name_of(key)}{OFF}"
            call = {"method": "POST", "path": path, "status": 200, "user": key}
            found.append({**call, "applied": True, "at": self._off[key]})
            found.extend({**call, "applied": False, "at": None} for _ in range(self._again[key]))
        return found

    def restore(self, word: str, parts: Sequence[str]) -> int:
        """Switch an account on again."""
        del parts
        restored = self._off.pop(word, None) is not None
        self.on_change()
        return int(restored)

    def use(self, word: str, what: str, *, refused: bool, at: str) -> int:
        """Remember that an account was used."""
        self._beyond.use(word, what, refused=refused, at=at)
        self.on_change()
        return 1

    def reset(self, *, keep_people: bool) -> None:
        """Start over; everybody has an account again either way."""
        if not keep_people:
            self._beyond.clear()
        self._off.clear()
        self._again.clear()
        self.faults.remove()
        self._requests = 0
        self.on_change()

    def dump(self) -> Item:
        """Everything that must survive a restart, as JSON values."""
        return {
            "off": self._off,
            "again": self._again,
            "faults": self.faults.dump(),
            **self._beyond.dump(),
        }

    def load(self, value: Item) -> None:
        """Take up what `dump` wrote."""
        self._off.clear()
        self._off.update(value["off"])
        self._beyond.load(value)
        self._again = Counter(value["again"])
        self.faults.load(value["faults"])


def _name_of(key: str) -> str:
    """The part of an id that stands for a worker key: itself, or coded when a URL would mind."""
    if _PLAIN.fullmatch(key):
        return key
    return "~" + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _key_of_id(account_id: str) -> str | None:
    """The worker key of an account."""
    known = account_id.startswith(PREFIX)
    return _key_of(account_id.removeprefix(PREFIX)) if known else None


def _key_of(name: str) -> str | None:
    """The worker key that `_name_of` named."""
    if not name.startswith("~"):
        return name or None
    coded = name[1:]
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _error(status: int, text: str, **more: Any) -> Response:
    return json_response(status, {"error": text, **more})


def _instead(request: Request, fault: Fault) -> Response | None:
    match fault.kind:
        case FaultKind.RATE_LIMIT | FaultKind.THROTTLE:
            response = _error(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
            if fault.reset_header:
                response.headers.append(("Retry-After", str(fault.reset_after)))
            return response
        case FaultKind.SERVER_ERROR:
            return _error(fault.status or HTTPStatus.SERVICE_UNAVAILABLE, "server error")
        case FaultKind.UNAUTHORIZED:
            return _error(HTTPStatus.UNAUTHORIZED, "unauthorized")
        case FaultKind.FORBIDDEN:
            return _error(HTTPStatus.FORBIDDEN, "forbidden")
        case FaultKind.ECHO_SECRET:
            secret = request.headers.get("authorization", "")
            return _error(fault.status or HTTPStatus.BAD_REQUEST, f"Authorization: {secret}")
    return None
