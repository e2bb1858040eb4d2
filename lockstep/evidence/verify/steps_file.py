"""Steps 1 to 3: the archive, the statement, and every file against it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from lockstep.evidence.format.plain import PlainError, parse_canonical
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people.columns import ACTOR_COLUMNS, MAPPING_COLUMNS
from lockstep.evidence.verify.content import tables
from lockstep.evidence.verify.forms import read_json
from lockstep.evidence.verify.heads.keys import follow
from lockstep.evidence.verify.report import MAX_DETAILS, RefutedError, shown
from lockstep.evidence.verify.state import Result, State
from lockstep.evidence.verify.statement import read_statement

_FOR_OTHER_TOOLS = (
    tables.Table(layout.MAPPING, MAPPING_COLUMNS, 2),
    tables.Table(layout.ACTORS, ACTOR_COLUMNS, 1),
)
"""Tables whose cells no step compares."""


def sound_archive(state: State) -> Result:
    """Step 1. The structure was checked when the archive was opened; here all files are unpacked.

    They are unpacked as streams, and only to be hashed.
    """
    for name in state.archive.names:
        digest = hashlib.sha256()
        for chunk in state.archive.chunks(name):
            digest.update(chunk)
        state.digests[name] = digest.hexdigest()
    return Result(f"{len(state.digests)} files, nothing hidden, nothing oversized")


def signed_statement(state: State) -> Result:
    """Step 2. The envelope is signed by a key of the reader, or one that it handed over to."""
    state.need_file(layout.STATEMENT)
    raw_keys = state.archive.read(layout.KEYS) if layout.KEYS in state.archive else None
    state.keys = follow(state.held.keys, raw_keys)
    statement = read_statement(state.archive.read(layout.STATEMENT), state.keys.trusted)
    if not any(key.name == statement.scope.origin for key in state.keys.trusted):
        raise RefutedError("the statement is about another log than your key signs for")
    state.statement = statement
    details = tuple(
        f"handed over from {shown(step.old.to_text())} to {shown(step.new.to_text())}"
        for step in state.keys.used
    )
    return Result(f"it lists {len(statement.files)} files", details)


def stated_files(state: State) -> Result:
    """Step 3. Nothing missing, nothing added, nothing changed, nothing that no step knows."""
    stated = state.need(state.statement).files
    found = {name: digest for name, digest in state.digests.items() if name != layout.STATEMENT}
    missing, added = stated.keys() - found.keys(), found.keys() - stated.keys()
    changed = {name for name in stated.keys() & found.keys() if stated[name] != found[name]}
    lacking = layout.REQUIRED - stated.keys()
    foreign = set(_foreign(state)) - added
    state.unsound = missing | added | changed | lacking | foreign
    problems = [
        *(f"{shown(name)} is missing" for name in sorted(missing)),
        *(f"{shown(name)} was added" for name in sorted(added)),
        *(f"{shown(name)} was changed" for name in sorted(changed)),
        *(f"{name} is not stated, and every pack has one" for name in sorted(lacking)),
        *(f"{shown(name)} is no file of the format" for name in sorted(foreign)),
    ]
    if problems:
        raise RefutedError("files are not as stated", tuple(problems[:MAX_DETAILS]))
    _check_forms(state)
    return Result(f"{len(stated)} digests are right")


def _foreign(state: State) -> Iterator[str]:
    """Files under the signature that nothing is known of: anything could be said in them."""
    statement = state.need(state.statement)
    return layout.foreign(
        statement.files,
        policies=statement.policies,
        metric=statement.metric,
        identified=statement.scope.identified,
    )


def _check_forms(state: State) -> None:
    """Files that nothing is compared with are read for their form: every reader sees the same.

    Raises:
        RefutedError: if one is spelled in another way than the format spells it.
    """
    archive = state.archive
    for table in _FOR_OTHER_TOOLS:
        if table.file in archive:
            tables.check_form(archive, table)
    if layout.OSCAL in archive and archive.is_small(layout.OSCAL):
        read_json(layout.OSCAL, archive.read(layout.OSCAL))
    if layout.OCSF in archive:
        try:
            for line in archive.lines(layout.OCSF):
                parse_canonical(line)
        except PlainError:
            raise RefutedError(f"{layout.OCSF} is not in the form that such a file has") from None
