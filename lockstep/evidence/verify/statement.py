"""The signed statement: which files a pack has, and what it claims to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.evidence.dsse import EnvelopeError, open_envelope
from lockstep.evidence.notes import VerifierKey
from lockstep.evidence.pack.layout import (
    MAX_SAMPLE,
    OCSF_VERSIONS,
    PREDICATE_TYPE,
    READABLE_FORMATS,
    STATEMENT_TYPE,
)
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.plain import PlainError, instant_ms, parse_canonical
from lockstep.evidence.verify.report import RefutedError

_DIGEST = re.compile(r"[0-9a-f]{64}")
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
        return _statement(document["subject"], document["predicate"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RefutedError("the statement lacks something, or says it in another form") from None


def _statement(subject: Any, claim: Any) -> Statement:
    if claim["format"] not in READABLE_FORMATS:
        raise RefutedError("the pack is of a newer format: use a newer verifier")
    files = {_text(row["name"]): _digest(row["digest"]["sha256"]) for row in subject}
    if len(files) != len(subject):
        raise RefutedError("the statement names a file twice")
    sample = claim["sample"] or {"n": 0, "seed": ""}
    scope = PackScope(
        tenant=_text(claim["tenant"]),
        origin=_text(claim["origin"]),
        as_of=instant_ms(claim["as_of"]),
        start=instant_ms(claim["period"]["from"]),
        end=instant_ms(claim["period"]["to"]),
        partner=_text_or_none(claim["scope"]["partner"]),
        case_id=_text_or_none(claim["scope"]["case"]),
        sample_n=_count(sample["n"]),
        seed=_text(sample["seed"]),
        identified=_yes_or_no(claim["identified"]),
        ocsf=_text(claim["ocsf"]),
        coming=not _is_withheld(claim["scope"].get("coming")),
    )
    if scope.sample_n > MAX_SAMPLE or scope.ocsf not in OCSF_VERSIONS.values():
        raise ValueError
    return Statement(
        files=files,
        scope=scope,
        counts={_text(name): _count(count) for name, count in claim["counts"].items()},
        policies=[_digest(digest) for digest in claim["policies"]],
        metric=_digest(claim["metric"]),
        tool=f"{_text(claim['tool']['name'])} {_text(claim['tool']['version'])}",
    )


def _is_withheld(value: object) -> bool:
    if value not in {None, "withheld"}:
        raise ValueError
    return value is not None


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _digest(value: object) -> str:
    if not _DIGEST.fullmatch(_text(value)):
        raise ValueError
    return str(value)


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value
