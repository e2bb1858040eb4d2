"""The signed statement: which files a pack has, and what it claims to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.evidence.format.dsse import EnvelopeError, open_envelope
from lockstep.evidence.format.notes import VerifierKey
from lockstep.evidence.format.plain import PlainError, instant_ms, parse_canonical
from lockstep.evidence.pack.layout import (
    MAX_SAMPLE,
    OCSF_VERSIONS,
    PREDICATE_TYPE,
    READABLE_FORMATS,
    STATEMENT_TYPE,
)
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.verify.forms import count, digest, exact, sequence, text
from lockstep.evidence.verify.report import RefutedError

_PREDICATE = (
    *("format", "tenant", "origin", "as_of", "period", "scope", "sample", "identified", "tool"),
    *("counts", "policies", "metric", "ocsf"),
)
_COUNTS = frozenset(
    {
        *("leaves", "entries_disclosed", "leavers", "leaver_systems", "not_in_population"),
        *("samples", "leavers_with_events", "cases_with_event", "cases_without_event"),
        *("hr_events", "hr_opened", "hr_rescinded_first", "hr_later_word", "hr_repeated"),
        *("hr_refused", "hr_waiting"),
    }
)
_MAX_ENVELOPE_OBJECTS = 20


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed.

    Args:
        files: SHA-256 in hex of every other file, by name.
        policies: digests of the policies in the pack.
        metric: digest of the metric's definition.
    """

    files: Mapping[str, str]
    scope: PackScope
    counts: Mapping[str, int]
    policies: Sequence[str]
    metric: str
    tool: str

    @property
    def is_full(self) -> bool:
        """Whether the pack shows the whole ledger."""
        scope = self.scope
        return scope.partner is None and scope.case_id is None and scope.coming


def read_statement(raw: bytes, keys: Sequence[VerifierKey]) -> Statement:
    """Check the envelope's signature, then read what was signed.

    Raises:
        RefutedError: if none of ``keys`` signed it, or it is no statement of this format.
    """
    if raw.count(b"{") > _MAX_ENVELOPE_OBJECTS:  # the envelope, and an object per signature
        raise RefutedError("the statement has more signatures than it can have")
    try:
        body = open_envelope(raw, keys)
    except EnvelopeError as error:
        raise RefutedError(str(error)) from None
    try:
        document = parse_canonical(body)
    except PlainError:
        raise RefutedError("the statement is not in its canonical form") from None
    if document.get("_type") != STATEMENT_TYPE or document.get("predicateType") != PREDICATE_TYPE:
        raise RefutedError("what is signed is no statement about a pack")
    try:
        exact(document, "_type", "predicateType", "predicate", "subject")
        return _statement(_files(document["subject"]), document["predicate"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RefutedError("the statement lacks something, or says it in another form") from None


def _files(subject: Any) -> dict[str, str]:
    rows = sequence(subject)
    files = {}
    for row in rows:
        exact(row, "name", "digest")
        exact(row["digest"], "sha256")
        files[text(row["name"])] = digest(row["digest"]["sha256"])
    if len(files) != len(rows):
        raise RefutedError("the statement names a file twice")
    return files


def _statement(files: Mapping[str, str], claim: Any) -> Statement:
    if count(claim["format"]) not in READABLE_FORMATS:
        raise RefutedError("the pack is of a newer format: use a newer verifier")
    exact(claim, *_PREDICATE)
    exact(claim["tool"], "name", "version")
    scope = _scope(claim)
    policies = [digest(each) for each in sequence(claim["policies"])]
    if policies != sorted(set(policies)):
        raise ValueError
    return Statement(
        files=files,
        scope=scope,
        counts=_counts(claim["counts"]),
        policies=policies,
        metric=digest(claim["metric"]),
        tool=f"{text(claim['tool']['name'])} {text(claim['tool']['version'])}",
    )


def _scope(claim: Any) -> PackScope:
    exact(claim["period"], "from", "to")
    exact(claim["scope"], "partner", "case", optional=("coming",))
    sample_n, seed = _sample(claim["sample"])
    scope = PackScope(
        tenant=text(claim["tenant"]),
        origin=text(claim["origin"]),
        as_of=instant_ms(claim["as_of"]),
        start=instant_ms(claim["period"]["from"]),
        end=instant_ms(claim["period"]["to"]),
        partner=_text_or_none(claim["scope"]["partner"]),
        case_id=_text_or_none(claim["scope"]["case"]),
        sample_n=sample_n,
        seed=seed,
        identified=_yes_or_no(claim["identified"]),
        ocsf=text(claim["ocsf"]),
        coming=_shows_coming(claim["scope"]),
        format=claim["format"],
    )
    if scope.ocsf not in OCSF_VERSIONS.values() or scope.start >= scope.end:
        raise ValueError
    if scope.case_id is not None and (scope.partner is not None or sample_n or not scope.coming):
        raise ValueError
    return scope


def _sample(said: Any) -> tuple[int, str]:
    """How many were drawn, and by which seed; none where the statement says null."""
    if said is None:
        return 0, ""
    exact(said, "n", "seed")
    if not 1 <= count(said["n"]) <= MAX_SAMPLE:
        raise ValueError
    return said["n"], text(said["seed"])


def _counts(said: Any) -> dict[str, int]:
    if not said.keys() <= _COUNTS:
        raise ValueError
    return {name: count(number) for name, number in said.items()}


def _shows_coming(scope: Mapping[str, Any]) -> bool:
    if scope.get("coming", "withheld") != "withheld":
        raise ValueError
    return "coming" not in scope


def _text_or_none(value: object) -> str | None:
    """Text that says something; what is not said is null and not empty."""
    if value == "":
        raise ValueError
    return None if value is None else text(value)


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value
