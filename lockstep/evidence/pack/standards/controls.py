"""Which requirement of which framework a pack answers, with what, and what it does not answer.

The frameworks' texts are copyrighted: ids are cited, what they ask is said in our own words
(reference: audit, 1.1). Whether a control is met is the auditor's judgement, not ours.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people.columns import MAPPING_COLUMNS

SOC2, ISO, NIST = (
    "SOC 2 (TSC 2017, 2022 points of focus)",
    "ISO/IEC 27001:2022",
    "NIST SP 800-53 r5",
)
PCI, HIPAA, CIS = "PCI DSS v4.0.1", "HIPAA Security Rule", "CIS Controls v8"

_DETAIL = "leavers/<case>/timeline.pdf and case.json"
_POPULATION = f"{layout.LEAVERS} (one row per leaver)"
_SYSTEMS = f"{layout.LEAVER_SYSTEMS} (one row per leaver and system)"
_POLICY = "policy/ (the time allowed, pinned in each case when it opened)"
_LEDGER = f"{layout.ENTRIES}, {layout.CHECKPOINT} and anchors/"
_VERIFY = "the verifier's recomputation of every time and of the score"

_SCOPE = "Only the systems that policy has in scope; compare systems.csv with your own inventory."
_OWN_RULE = "The framework leaves the time to the entity: the pinned policy is the yardstick."


@dataclass(frozen=True, slots=True)
class Control:
    """One requirement. ``limits`` says what the pack leaves to other evidence."""

    framework: str
    id: str
    asks: str
    answered_by: tuple[str, ...]
    limits: str


CONTROLS = (
    Control(
        SOC2,
        "CC6.2",
        "Credentials are issued to registered users only, and taken away once a user is no longer"
        " authorised.",
        (_POPULATION, _SYSTEMS, _DETAIL, _POLICY),
        f"Removal only; issuing is not covered. {_OWN_RULE}",
    ),
    Control(
        SOC2,
        "CC6.3",
        "Access is changed and removed as roles and need change, with least privilege in mind.",
        (_SYSTEMS, layout.EXCEPTIONS, _DETAIL),
        f"Leavers only, not transfers or periodic reviews. {_SCOPE}",
    ),
    Control(
        SOC2,
        "CC6.4",
        "Physical access to facilities and protected assets is limited to those who need it.",
        (f"{_SYSTEMS}, category badge", layout.SYSTEMS),
        "Badges in systems that policy has in scope; keys, visitors and returned assets are not"
        " covered.",
    ),
    Control(
        ISO,
        "A.5.16",
        "The whole life of an identity is managed, to its end.",
        (_POPULATION, _SYSTEMS, _DETAIL),
        "The end of the life only.",
    ),
    Control(
        ISO,
        "A.5.18",
        "Access rights are given, reviewed, changed and taken away by the entity's rules.",
        (_SYSTEMS, _POLICY, layout.EXCEPTIONS, _DETAIL),
        f"Taking away only. {_OWN_RULE} {_SCOPE}",
    ),
    Control(
        ISO,
        "A.6.5",
        "What still binds after employment ends is defined, made known and enforced.",
        (_POPULATION, layout.NOT_IN_POPULATION),
        "Shows that the end of employment is noticed and acted upon; duties such as secrecy are"
        " not covered.",
    ),
    Control(
        ISO,
        "A.7.2",
        "Secure areas are protected by entry controls.",
        (f"{_SYSTEMS}, category badge", _DETAIL),
        "Leavers' badges only; a badge's residual time offline is stated where the vendor has one.",
    ),
    Control(
        ISO,
        "A.8.2",
        "Privileged rights are restricted and managed.",
        (f"{_SYSTEMS}, tier 0", _POLICY, layout.SCORE),
        "Leavers' rights in systems that policy ranks tier 0.",
    ),
    Control(
        NIST,
        "PS-4",
        "When employment ends, access is disabled within the period that the organisation sets,"
        " and authenticators and credentials are revoked.",
        (_POPULATION, _SYSTEMS, _DETAIL, _POLICY, layout.OSCAL),
        "Statements a and b. Exit interviews, returned property and handing over of information"
        " (c, d, e) are not covered.",
    ),
    Control(
        NIST,
        "PS-7",
        "External providers report their people's terminations in the period set, and this is"
        " monitored.",
        (f"{_POPULATION}, HR lag and partner", layout.SCORE, layout.OSCAL),
        "Statements d and e, for the partners named in the pack: whether HR spoke before the"
        " cutoff. Agreements with the provider are not covered.",
    ),
    Control(
        NIST,
        "AC-2",
        "Accounts are disabled and removed by the organisation's rules, in step with terminations.",
        (_SYSTEMS, layout.NOT_IN_POPULATION, layout.EXCEPTIONS, layout.OSCAL),
        "Statements f and l, for leavers. Creating, approving and reviewing accounts are not"
        " covered.",
    ),
    Control(
        NIST,
        "AC-2(3)",
        "Accounts that no longer belong to anybody are disabled within the period set.",
        (_SYSTEMS, _DETAIL, layout.OSCAL),
        "Statement b. Expired and inactive accounts are not covered.",
    ),
    Control(
        NIST,
        "AU-9(3)",
        "Audit records are protected against change by cryptography.",
        (_LEDGER, layout.STATEMENT, layout.CONSISTENCY),
        "Verify the pack with the key that you hold. Without an anchor outside, or a checkpoint"
        " that you kept, its owner could have rewritten it all.",
    ),
    Control(
        NIST,
        "AU-10",
        "What was done can be proved of whoever did it.",
        (_LEDGER, f"{layout.ENTRIES}, member actor", layout.KEYS),
        "People are commitments that the entity can open. Reading a system back shows a state, not"
        " who caused it.",
    ),
    Control(
        PCI,
        "8.2.5",
        "Access of terminated users is revoked at once.",
        (_SYSTEMS, _DETAIL, layout.SCORE),
        "Shows the time to the millisecond; what counts as at once is the assessor's judgement."
        " Returned authenticators are not covered.",
    ),
    Control(
        HIPAA,
        "164.308(a)(3)(ii)(C)",
        "There are procedures that end access to health information when employment ends.",
        (_POPULATION, _SYSTEMS, _POLICY, _DETAIL),
        f"Shows the procedure at work, not its written form. {_OWN_RULE}",
    ),
    Control(
        CIS,
        "6.2",
        "There is a process, automated if possible, that revokes access at once when somebody"
        " leaves.",
        (_SYSTEMS, layout.SCORE, _VERIFY),
        f"Terminations only, not changes of role. {_SCOPE}",
    ),
)


def mapping_csv() -> bytes:
    """The table as CSV (UTF-8, RFC 4180). No cell can be taken for a formula: a test says so."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(MAPPING_COLUMNS)
    for row in CONTROLS:
        writer.writerow((row.framework, row.id, row.asks, "; ".join(row.answered_by), row.limits))
    return text.getvalue().encode()
