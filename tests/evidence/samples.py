"""Synthetic leavers told entry by entry: facts by the real fold, results by the real metric."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.evidence.format.canonical import canonical_bytes, instant_text, leaf_hash
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.evidence.ledger.fold import apply
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.cases.story import Leaf, leaf_of
from lockstep.evidence.pack.model import CaseLine, PackScope, PackSummary
from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import judge

TENANT = "acme"
CUTOFF = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
CASE = "cabcdefghjkm"
SUBJECT = "5f0c2b1e-3d4a-4c5b-8e6f-7a8b9c0d1e2f"
ARTEFACT = hashlib.sha256(b"a photograph of the returned badge").hexdigest()
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

SYSTEMS = (
    SystemPolicy("okta-prod", "okta", Category.IDENTITY, Tier.ZERO),
    SystemPolicy("aws-client", "aws_iam", Category.SAAS, Tier.ZERO),
    SystemPolicy("github", "scim", Category.SAAS, Tier.ONE),
    SystemPolicy("tailscale", "tailscale", Category.VPN, Tier.ZERO),
    SystemPolicy("kisi-cebu", "kisi", Category.BADGE, Tier.ONE),
    SystemPolicy("client-crm", "manual", Category.SAAS, Tier.MANUAL),
)
REMOVED = ("sign_in", "session", "token", "group", "group")


def policy(systems: Sequence[SystemPolicy] = SYSTEMS) -> dict[str, object]:
    return Policy(version="1", systems=tuple(systems)).as_document()


def ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def digest_of(*parts: object) -> str:
    """A stable digest for an artefact that does not exist."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _residuals(bound_s: int | None) -> list[dict[str, object]]:
    """None: something outlives the revocation for a time that nobody has stated."""
    if bound_s is None:
        return [{"what": "session"}]
    return [{"what": "access_token", "bound_s": bound_s}] if bound_s else []


class Tale:
    """One case; every method adds an entry. Times are given from the cutoff."""

    def __init__(
        self,
        systems: Sequence[SystemPolicy] = SYSTEMS,
        *,
        case_id: str = CASE,
        partner: str = "northwind",
        site: str = "cebu",
        zone: str = "Asia/Manila",
        kind: str = "voluntary",
        notice: timedelta = -2 * DAY,
        first_leaf: int = 40,
    ) -> None:
        self.case_id = case_id
        self.policy = policy(systems)
        self.digest = hashlib.sha256(canonical_bytes(self.policy)).hexdigest()
        self.entries: list[tuple[int, dict[str, object]]] = []
        self._leaf = first_leaf
        heard = CUTOFF + notice + 3 * SECOND
        self.add(
            EntryKind.CASE_OPENED,
            notice + 3 * SECOND,
            data={
                "termination": kind,
                "source": "hr",
                "partner": partner,
                "site": site,
                "revision": 1,
                "zone": zone,
                "hr_recorded_at": instant_text(CUTOFF + notice),
                "received_at": instant_text(heard),
                "cutoff_at": instant_text(CUTOFF),
                "systems": sorted(row.system for row in systems),
            },
        )

    def add(
        self,
        kind: EntryKind,
        at: timedelta,
        *,
        system: str = "",
        data: dict[str, object] | None = None,
        person: bool = False,
    ) -> Tale:
        moment = CUTOFF + at
        entry = Entry(
            kind=kind,
            key=f"{self.case_id}:{system}:{kind.value}:{len(self.entries)}",
            tenant=TENANT,
            occurred_at=moment,
            recorded_at=moment + timedelta(milliseconds=4),
            case_id=self.case_id,
            subject=SUBJECT,
            system=system,
            policy=self.digest,
            actor=Actor("person", digest_of("person")[:32]) if person else Actor(),
            data=data or {},
        )
        self.entries.append((self._leaf, json.loads(entry.to_bytes())))
        self._leaf += 3  # the entries of other cases lie between
        return self

    def begun(self) -> Tale:
        return self.add(EntryKind.CASE_BEGUN, timedelta(milliseconds=20))

    def attempt(self, system: str, at: timedelta, *, accounts: int = 1) -> Tale:
        names = [digest_of(system, number)[:32] for number in range(accounts)]
        return self.add(
            EntryKind.REVOCATION_ATTEMPT,
            at,
            system=system,
            data={
                "round": 1,
                "attempt": 1,
                "keys_tried": ["worker_id", "email"],
                "accounts": names,
                "standing": [],
            },
        )

    def fault(self, system: str, at: timedelta, category: str = "timeout") -> Tale:
        return self.add(
            EntryKind.REVOCATION_FAULT,
            at,
            system=system,
            data={
                "round": 1,
                "attempt": 1,
                "category": category,
                "transient": True,
                "calls": [self._call(system, "users.suspend", 504, at)],
            },
        )

    def outcome(
        self,
        system: str,
        off: timedelta,
        seen: timedelta | None = None,
        *,
        outcome: str = "revoked",
        grade: str = "A",
        removed: Sequence[str] = REMOVED,
        accounts: int = 1,
        residual_s: int | None = 0,
    ) -> Tale:
        seen = off + SECOND / 5 if seen is None else seen
        refs = [
            {"kind": kind, "ref": digest_of(system, kind, number)[:32]}
            for number, kind in enumerate(removed)
        ]
        count = len(removed)
        times = [off - (count - 1 - number) * (SECOND / 100) for number in range(count)]
        accepted = [
            {
                "kind": kind,
                "op": f"{kind}.remove",
                "at": instant_text(CUTOFF + at),
                "request_id": f"req-{system}-{number}",
            }
            for number, (kind, at) in enumerate(zip(removed, times, strict=True))
        ]
        data: dict[str, object] = {
            "round": 1,
            "attempt": 1,
            "outcome": outcome,
            "grade": grade,
            "keys_tried": ["worker_id", "email"],
            "accounts": [digest_of(system, number)[:32] for number in range(accounts)],
            "removed": refs,
            "accepted": accepted,
            "residuals": _residuals(residual_s),
            "cutoff_at": instant_text(CUTOFF),
            "revoked_at": instant_text(CUTOFF + off),
            "confirmed_at": instant_text(CUTOFF + seen),
            "time_to_revocation_ms": max(0, off // timedelta(milliseconds=1)),
            "calls": [
                self._call(system, "users.search", 200, off - SECOND / 2),
                self._call(system, "users.suspend", 204, off),
                self._call(system, "users.get", 200, seen),
            ],
        }
        if times:
            data["accepted_at"] = instant_text(CUTOFF + times[0])
        return self.add(EntryKind.REVOCATION_OUTCOME, seen, system=system, data=data)

    def revoked(self, *systems: str, begin: timedelta = SECOND / 5) -> Tale:
        """Each of ``systems`` in about a second."""
        for number, system in enumerate(systems):
            start = begin + number * SECOND / 20
            self.attempt(system, start)
            self.outcome(system, start + SECOND * (8 + number) / 10)
        return self

    def attest(self, system: str, at: timedelta, *, strong: bool = True) -> Tale:
        data: dict[str, object] = {"round": 1, "decision": "d1", "grade": "C" if strong else "D"}
        if strong:
            data |= {"artefact_sha256": ARTEFACT, "second_person": digest_of("second")[:32]}
        return self.add(EntryKind.DECISION_ATTEST, at, system=system, data=data, person=True)

    def waive(self, system: str, at: timedelta, until: timedelta) -> Tale:
        data: dict[str, object] = {
            "round": 1,
            "decision": "d2",
            "second_person": digest_of("second")[:32],
            "until": instant_text(CUTOFF + until),
        }
        return self.add(EntryKind.DECISION_WAIVE, at, system=system, data=data, person=True)

    def needs_person(self, system: str, at: timedelta, category: str = "manual") -> Tale:
        data: dict[str, object] = {"round": 1, "category": category, "overdue": False}
        return self.add(EntryKind.REVOCATION_NEEDS_PERSON, at, system=system, data=data)

    def returned(self, system: str, at: timedelta) -> Tale:
        data: dict[str, object] = {
            "look": 1,
            "finding": "access_returned",
            "standing": [{"kind": "group", "ref": digest_of(system, "again")[:32]}],
            "calls": [self._call(system, "users.get", 200, at)],
        }
        return self.add(EntryKind.FINDING_RAISED, at, system=system, data=data)

    def closed(self, at: timedelta, closing: int = 1) -> Tale:
        return self.add(EntryKind.CASE_CLOSED, at, data={"closing": closing})

    def rescinded(self, at: timedelta) -> Tale:
        return self.add(EntryKind.CASE_RESCINDED, at, data={"revision": 2})

    @property
    def leaves(self) -> list[Leaf]:
        """The entries as the ledger has them."""
        return [leaf_of(place, canonical_bytes(entry)) for place, entry in self.entries]

    def line(self, after: timedelta) -> CaseLine:
        """The case as it stands ``after`` the cutoff."""
        facts = reduce(lambda so_far, one: apply(so_far, *one, self.policy), self.entries, None)
        assert facts is not None
        opening = leaf_hash(canonical_bytes(self.entries[0][1])).hex()
        return CaseLine(facts, judge(facts, DEFAULT, ms(CUTOFF + after)), opening)

    def _call(self, system: str, operation: str, status: int, at: timedelta) -> dict[str, object]:
        moment = CUTOFF + at
        return {
            "op": operation,
            "status": status,
            "at": instant_text(moment),
            "request_id": f"{system}-{digest_of(system, operation, at)[:12]}",
            "date": f"{moment:%a, %d %b %Y %H:%M:%S} GMT",
            "sha256": digest_of(system, operation),
        }


def fast() -> Tale:
    """Everything off within two seconds; the slowest after 1.3 s in one system."""
    systems = SYSTEMS[:5]
    tale = Tale(systems).begun().revoked(*(row.system for row in systems))
    return tale.closed(3 * SECOND)


def mixed() -> Tale:
    """Machines in seconds, a badge by a person after hours, one retry after faults."""
    tale = Tale().begun().revoked("okta-prod", "aws-client", "tailscale")
    tale.attempt("github", SECOND / 2).fault("github", 31 * SECOND).fault("github", 95 * SECOND)
    tale.outcome("github", 12 * 60 * SECOND, residual_s=3600, accounts=2)
    tale.needs_person("client-crm", SECOND).attest("client-crm", 9 * HOUR)
    tale.attempt("kisi-cebu", SECOND)
    tale.outcome("kisi-cebu", 2 * HOUR, grade="B", removed=("sign_in", "credential", "credential"))
    return tale.closed(9 * HOUR + SECOND)


def late() -> Tale:
    """Ten days: one system closed late, one still open, one waived, access that returned."""
    tale = Tale(kind="involuntary", notice=2 * HOUR).begun().revoked("okta-prod", "github")
    tale.attempt("aws-client", SECOND).fault("aws-client", HOUR, "permission_missing")
    tale.outcome("aws-client", 3 * DAY + 4 * HOUR)
    tale.needs_person("client-crm", SECOND)
    tale.waive("tailscale", HOUR / 2, 5 * DAY)
    tale.outcome("kisi-cebu", -2 * HOUR, SECOND, outcome="already_absent", removed=(), grade="A")
    tale.returned("github", 7 * DAY)
    return tale.outcome("github", 7 * DAY + 2 * HOUR)


def rescinded() -> Tale:
    return Tale().rescinded(-DAY)


def named(partner: str, site: str) -> Tale:
    """The fast case of another partner and site."""
    systems = SYSTEMS[:2]
    tale = Tale(systems, partner=partner, site=site).begun()
    return tale.revoked(*(row.system for row in systems)).closed(3 * SECOND)


def wide(count: int) -> Tale:
    """As many systems as wanted, each off within a minute."""
    systems = [replace(SYSTEMS[2], system=f"system-{number:03}") for number in range(count)]
    tale = Tale(systems).begun()
    return tale.revoked(*(row.system for row in systems)).closed(HOUR)


def summary(**changes: object) -> PackSummary:
    """What is said of a whole pack; ``changes`` replace fields of its scope."""
    scope = PackScope(
        tenant=TENANT,
        origin=f"{TENANT}/lockstep-ledger",
        as_of=ms(CUTOFF + 10 * DAY),
        start=ms(CUTOFF - 30 * DAY),
        end=ms(CUTOFF + 30 * DAY),
        sample_n=2,
        seed="autumn 2026",
    )
    return PackSummary(
        scope=replace(scope, **changes),
        tool_version="0.1.0",
        size=4711,
        root=digest_of("root"),
        counts={
            "leaves": 4711,
            "leavers": 3,
            "leaver_systems": 17,
            "not_in_population": 1,
            "leavers_with_events": 3,
        },
        policies=(digest_of("policy"),),
        metric=DEFAULT.digest,
        score={},
        period_score={},
    )


def files(*cases: str) -> dict[str, str]:
    """The files of a pack that shows ``cases`` in detail, with digests."""
    names = [
        *(layout.README, layout.CHECKPOINT, layout.ENTRIES, layout.LEAVERS),
        *(layout.LEAVER_SYSTEMS, layout.EXCEPTIONS, layout.WORKBOOK, layout.SCORE),
        layout.receipt_name("tsa", is_timestamp=True),
        *(layout.timeline_name(case) for case in cases),
        *(layout.case_name(case) for case in cases),
    ]
    return {name: digest_of(name) for name in names}
