"""Scripted dialogues with Okta: answers that the simulated organisation never gives."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from tests.connectors.revoking import revoke

BASE = "https://example.okta.test"
TOKEN = "a-token-that-must-not-show"
ID = "00u1"
USER = f"GET /api/v1/users/{ID}"
LISTS = ("clients", "factors", "roles", "groups")
SEARCH = "GET /api/v1/users"
OPEN = Observation(
    ID, exists=True, standing=(Access(AccessKind.SIGN_IN, ID), Access(AccessKind.SESSION, "all"))
)


class Dialogue(httpx.AsyncBaseTransport):
    """Answers by method and path, each list in turn and its last for ever; refuses all else."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = {
            name: list(given) if isinstance(given, list) else [given]
            for name, given in answers.items()
        }
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        assert name in self._answers, f"unexpected call {name}"
        self.requests.append(request)
        given = self._answers[name]
        answer = given.pop(0) if len(given) > 1 else given[0]
        answer = answer(request) if callable(answer) else answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


def answer(body: object = None, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def error(status: int, code: str) -> httpx.Response:
    return answer({"errorCode": code, "errorSummary": "someone@corp.example.test"}, status)


def user(status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    profile = {"login": "lea@corp.example.test", "email": "lea@corp.example.test"}
    return {"id": ID, "status": status, "profile": {**profile, **more.pop("profile", {})}, **more}


def lists(**found: object) -> dict[str, Any]:
    """The user's lists, empty unless given."""
    return {f"{USER}/{name}": found.get(name, answer([])) for name in LISTS}


def connect(dialogue: httpx.AsyncBaseTransport, **settings: object) -> OktaConnector:
    options = ConnectorOptions("okta", {"base_url": BASE, **settings}, {"token": TOKEN})
    return OktaConnector(options, transport=dialogue)


async def read(dialogue: Dialogue, **settings: object) -> Observation:
    return await connect(dialogue, **settings).read_back(Account(ID), Transcript())


async def revoke_fault(dialogue: Dialogue, **settings: object) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await revoke(connect(dialogue, **settings), Account(ID), OPEN, Transcript())
    return caught.value


def keys(*pairs: tuple[KeyKind, str]) -> LeaverKeys:
    return LeaverKeys(tuple(Key(kind, value) for kind, value in pairs))
