"""Steps 1 to 3: the archive, the statement, and every file against it."""

from __future__ import annotations

import hashlib

from lockstep.evidence.pack import layout
from lockstep.evidence.verify.keys import follow
from lockstep.evidence.verify.report import MAX_DETAILS, RefutedError, shown
from lockstep.evidence.verify.state import Result, State
from lockstep.evidence.verify.statement import read_statement

_REQUIRED = frozenset(
    {
        layout.README,
        layout.CHECKPOINT,
        layout.CHECKPOINTS,
        layout.ENTRIES,
        layout.CONSISTENCY,
        layout.KEYS,
        layout.LEAVERS,
        layout.LEAVER_SYSTEMS,
        layout.EXCEPTIONS,
        layout.NOT_IN_POPULATION,
        layout.SYSTEMS,
        layout.SAMPLE,
        layout.SCORE,
        layout.PERIOD_SCORE,
    }
)
"""Files without which a pack proves nothing."""


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
    """Step 3. Nothing missing, nothing added, nothing changed."""
    stated = state.need(state.statement).files
    found = {name: digest for name, digest in state.digests.items() if name != layout.STATEMENT}
    missing, added = stated.keys() - found.keys(), found.keys() - stated.keys()
    changed = {name for name in stated.keys() & found.keys() if stated[name] != found[name]}
    lacking = _REQUIRED - stated.keys()
    state.unsound = missing | added | changed | lacking
    problems = [
        *(f"{shown(name)} is missing" for name in sorted(missing)),
        *(f"{shown(name)} was added" for name in sorted(added)),
        *(f"{shown(name)} was changed" for name in sorted(changed)),
        *(f"{name} is not stated, and every pack has one" for name in sorted(lacking)),
    ]
    if problems:
        raise RefutedError("files are not as stated", tuple(problems[:MAX_DETAILS]))
    return Result(f"{len(stated)} digests are right")
