"""Step 8: policies and the metric's definition, in the pack and in the ledger."""

from __future__ import annotations

import hashlib
import re

from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.report import RefutedError, shown
from lockstep.evidence.verify.statement import Statement
from lockstep.evidence.verify.zip.archive import Archive
from lockstep.scorecard.definition import Definition, DefinitionError

_POLICY_FILE = re.compile(r"policy/([0-9a-f]{64})\.json")


def check_policies(archive: Archive, statement: Statement, history: History) -> None:
    """Every policy file is what its name says, adopted, stated; every case's policy is there.

    Raises:
        RefutedError: if one is not.
    """
    files = {match[1] for name in archive.names if (match := _POLICY_FILE.fullmatch(name))}
    if files != set(statement.policies):
        raise RefutedError("the statement names other policies than the pack has")
    for digest in sorted(files):
        name = layout.policy_name(digest)
        if hashlib.sha256(archive.read(name)).hexdigest() != digest:
            raise RefutedError(f"{name} is another policy than its name says: it was swapped")
        if digest not in history.policies:
            raise RefutedError(f"{name} was never adopted in the ledger")
    for facts in history.cases.values():
        if facts.policy not in files:
            raise RefutedError(f"the policy of case {shown(facts.case_id)} is not in the pack")


def check_metric(archive: Archive, statement: Statement, history: History) -> Definition:
    """The metric's definition, as the ledger adopted it.

    Raises:
        RefutedError: if the file is another one, or the ledger did not adopt it.
    """
    name = layout.metric_name(statement.metric)
    if hashlib.sha256(archive.read(name)).hexdigest() != statement.metric:
        raise RefutedError(f"{name} is another definition than its name says: it was swapped")
    if statement.metric not in history.metrics:
        raise RefutedError("the metric's definition was never adopted in the ledger")
    try:
        definition = Definition.from_document(history.metrics[statement.metric])
    except DefinitionError as error:
        raise RefutedError(f"the metric cannot be used: {shown(str(error))}") from None
    if definition.digest != statement.metric:
        raise RefutedError("the metric's definition is not in its canonical form")
    return definition
