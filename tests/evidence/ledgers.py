"""Ledgers that a test dictates, entry by entry."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.evidence.format.merkle import root_of
from lockstep.evidence.format.notes import Checkpoint, FileSigner, sign_note
from lockstep.evidence.format.plain import instant_ms, instant_text, plain_bytes
from lockstep.scorecard.definition import DEFAULT, Definition

TENANT = "acme"
ORIGIN = "acme/lockstep-ledger"
START = instant_ms("2026-07-01T00:00:00.000Z")
END = instant_ms("2026-10-01T00:00:00.000Z")
AS_OF = instant_ms("2026-10-05T06:00:00.000Z")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

POLICY = Policy(
    "2026-1",
    (
        SystemPolicy("okta", "okta", Category.IDENTITY, Tier.ZERO),
        SystemPolicy("crm", "scim", Category.SAAS, Tier.ONE),
        SystemPolicy("gate", "kisi", Category.BADGE, Tier.MANUAL, required=False),
    ),
)


def digest_of(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(plain_bytes(document)).hexdigest()


def handover(old: FileSigner, new: FileSigner) -> dict[str, str]:
    """The row of ``ledger/keys.json`` by which one key hands over to the next."""
    message = b"lockstep-handover/1\n" + new.verifier.to_text().encode()
    signature = base64.b64encode(old.sign(message)).decode()
    return {
        "from": old.verifier.to_text(),
        "to": new.verifier.to_text(),
        "signature": signature,
    }


@dataclass
class Book:
    """A ledger in the making: every method writes one entry, or the few that belong together."""

    signer: FileSigner = field(default_factory=lambda: FileSigner.generate(ORIGIN))
    policy: Mapping[str, Any] = field(default_factory=POLICY.as_document)
    definition: Definition = DEFAULT
    tenant: str = TENANT
    entries: list[bytes] = field(default_factory=list)
    clock: int = START - 30 * DAY

    @property
    def policy_digest(self) -> str:
        return digest_of(self.policy)

    def begin(self) -> Book:
        """What every ledger begins with."""
        self.say("ledger:key_adopted", data={"vkey": self.signer.verifier.to_text()})
        self.adopt(self.policy)
        digest = self.definition.digest
        document = self.definition.as_document()
        self.say("metric:adopted", data={"digest": digest, "document": document})
        return self

    def adopt(self, policy: Mapping[str, Any]) -> None:
        data = {"version": policy["version"], "document": policy}
        self.say("policy:adopted", policy=digest_of(policy), data=data)

    def expect(self, *sources: str, at: int, recorded: int | None = None) -> None:
        data = {"sources": list(sources)}
        self.say("feed:expected", at=at, recorded=recorded, data=data)

    def hear(self, source: str, at: int, *, recorded: int | None = None) -> None:
        self.say("feed:heard", at=at, recorded=recorded, data={"source": source})

    def say(
        self,
        kind: str,
        *,
        key: str = "",
        case: str = "",
        system: str = "",
        policy: str = "",
        at: int | None = None,
        recorded: int | None = None,
        person: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write an entry. It is recorded when it happened, unless said otherwise."""
        at = self.clock if at is None else at
        entry: dict[str, Any] = {
            "v": 1,
            "kind": kind,
            "key": key or f"{case}:{system}:{kind}:{len(self.entries)}",
            "tenant": self.tenant,
            "occurred_at": instant_text(at),
            "recorded_at": instant_text(at if recorded is None else recorded),
            "actor": {"type": "person", "ref": person} if person else {"type": "lockstep"},
        }
        optional = {"case": case, "system": system, "policy": policy, "data": data}
        if case:
            optional["subject"] = f"subject-of-{case}"
            optional["policy"] = policy or self.policy_digest
        entry |= {name: value for name, value in optional.items() if value}
        self.entries.append(plain_bytes(entry))
        return entry

    def open(
        self,
        case: str,
        cutoff: int,
        *,
        kind: str = "voluntary",
        partner: str = "nord",
        noticed: int | None = None,
        systems: Sequence[str] = ("crm", "gate", "okta"),
        identity: str = "",
        first: str = "case:opened",
        waits: object = None,
    ) -> None:
        noticed = cutoff - 10 * DAY if noticed is None else noticed
        data: dict[str, Any] = {
            "termination": kind,
            "source": "workday",
            "partner": partner,
            "site": "berlin",
            "revision": 1,
            "zone": "Europe/Berlin",
            "hr_recorded_at": instant_text(noticed),
            "received_at": instant_text(noticed + 1000),
            "cutoff_at": instant_text(cutoff),
            "systems": sorted(systems),
        }
        if identity:
            data["identity"] = identity
        if waits is not None:
            data["waits"] = waits
        self.say(first, case=case, at=noticed + 1000, recorded=noticed + 2000, data=data)

    def attempt(self, case: str, system: str, at: int, *, accounts: int = 1) -> None:
        data = {
            "round": 1,
            "attempt": 1,
            "keys_tried": ["email", "worker_id"],
            "accounts": ["a" * 32] * accounts,
            "standing": [{"kind": "sign_in", "ref": "c" * 32}] * accounts,
        }
        self.say("revocation:attempt", case=case, system=system, at=at, data=data)

    def outcome(
        self,
        case: str,
        system: str,
        off: int,
        *,
        outcome: str = "revoked",
        grade: str = "A",
        accounts: int = 1,
    ) -> None:
        data = {
            "round": 1,
            "attempt": 1,
            "outcome": outcome,
            "grade": grade,
            "keys_tried": ["email", "worker_id"],
            "accounts": ["a" * 32] * accounts,
            "removed": [{"kind": "sign_in", "ref": "c" * 32}] * accounts,
            "accepted": [{"kind": "sign_in", "op": "users.suspend", "at": instant_text(off)}],
            "residuals": [],
            "revoked_at": instant_text(off),
            "confirmed_at": instant_text(off + 5000),
            "calls": [{"op": "users.suspend", "status": 200, "at": instant_text(off)}],
        }
        self.say("revocation:outcome", case=case, system=system, at=off + 5000, data=data)

    def revoke(self, case: str, system: str, off: int, **more: Any) -> None:
        self.attempt(case, system, off - MINUTE, accounts=more.get("accounts", 1))
        self.outcome(case, system, off, **more)

    def close(self, case: str, at: int) -> None:
        self.say("case:closed", case=case, at=at, data={"closing": 1})

    def run(self, case: str, cutoff: int, *, after: int = 10 * MINUTE, **opening: Any) -> None:
        """A whole case: every system off ``after`` the cutoff."""
        self.open(case, cutoff, **opening)
        self.say("case:begun", case=case, at=cutoff)
        for system in opening.get("systems", ("crm", "gate", "okta")):
            self.revoke(case, system, cutoff + after)
        self.close(case, cutoff + after + MINUTE)

    def leaves(self) -> list[bytes]:
        return [hashlib.sha256(b"\x00" + raw).digest() for raw in self.entries]

    def checkpoint(self, size: int | None = None, signer: FileSigner | None = None) -> str:
        size = len(self.entries) if size is None else size
        head = Checkpoint(ORIGIN, size, root_of(self.leaves()[:size]))
        return sign_note(head.body(), signer or self.signer)


def story() -> Book:
    """A quarter in which everything happens that the rules speak of."""
    book = Book().begin()
    for number in range(6):
        book.run(f"cquick{number}", START + (5 + number) * DAY, after=(number + 1) * MINUTE)
    book.run("clate", START + 20 * DAY, after=30 * HOUR, kind="involuntary", partner="süd")
    book.open("copen", START + 30 * DAY, partner="süd")
    book.revoke("copen", "crm", START + 30 * DAY + HOUR)
    book.open("cattested", START + 40 * DAY)
    data = {"grade": "C", "artefact_sha256": "f" * 64, "second_person": "b" * 32}
    at = START + 40 * DAY + 2 * HOUR
    book.say("decision:attest", case="cattested", system="gate", at=at, person="p" * 32, data=data)
    for system in ("crm", "okta"):
        book.revoke("cattested", system, START + 40 * DAY + HOUR)
    book.close("cattested", at + HOUR)
    book.run("creturned", START + 50 * DAY)
    data = {"finding": "access_returned", "look": 1, "standing": []}
    at = START + 51 * DAY
    book.say("finding:raised", case="creturned", system="okta", at=at, data=data)
    book.outcome("creturned", "okta", at + HOUR)
    book.close("creturned", at + 2 * HOUR)
    book.open("cwaived", START + 60 * DAY)
    data = {"second_person": "b" * 32, "until": instant_text(START + 65 * DAY)}
    book.say(
        "decision:waive",
        case="cwaived",
        system="crm",
        at=START + 60 * DAY + HOUR,
        person="p" * 32,
        data=data,
    )
    for system in ("gate", "okta"):
        book.revoke("cwaived", system, START + 60 * DAY + HOUR)
    book.open("cgone", START + 70 * DAY)
    book.say("case:rescinded", case="cgone", at=START + 69 * DAY, data={"revision": 2})
    book.open("cnobody", START + 75 * DAY)
    for system in ("crm", "gate", "okta"):
        book.outcome("cnobody", system, START + 75 * DAY, outcome="not_found", accounts=0)
    book.open("cfuture", AS_OF + 20 * DAY, noticed=END - DAY)
    book.say("ledger:heartbeat", at=AS_OF - HOUR)
    return book


def place_of(book: Book, case: str, kind: str) -> int:
    """Where the first entry of a kind about a case stands."""
    return next(
        place
        for place, raw in enumerate(book.entries)
        for entry in [json.loads(raw)]
        if (entry.get("case"), entry["kind"]) == (case, kind)
    )
