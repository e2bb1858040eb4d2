"""Steps 4 to 7: the ledger's head, the tree under it, older heads, and who else vouches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from lockstep.domain.counting import counted
from lockstep.domain.counting import entries as entries_of
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.content.ledger import read_ledger
from lockstep.evidence.verify.heads import heads, timestamp
from lockstep.evidence.verify.heads.earlier import Opening
from lockstep.evidence.verify.report import (
    MAX_DETAILS,
    Level,
    NotCheckedError,
    RefutedError,
    UnusableError,
    Verdict,
    shown,
)
from lockstep.evidence.verify.state import CLOCK_TOLERANCE_MS, Result, State

_MAX_LINES = 32 * 1024
"""Bytes of all witnesses' lines together."""

_LATEST_COSIGNATURE_MS = 7 * 86_400_000
"""Heads are shown to witnesses when they are signed."""


def signed_head(state: State) -> Result:
    """Step 4. The checkpoint is signed, and is of the log that the statement names."""
    keys = state.keys.trusted if state.keys is not None else state.held.keys
    origin = state.statement.scope.origin if state.statement is not None else ""
    head = heads.read_head(state.text(layout.CHECKPOINT), keys, origin)
    state.head = head
    return Result(f"{entries_of(head.size)} of {shown(head.origin)}, root {head.root.hex()}")


def tree(state: State) -> Result:
    """Step 5. The lines of the entries, pushed one after the other, give size and root."""
    state.need_file(layout.ENTRIES)
    head = state.need(state.head)
    _read_older(state)
    statement = state.statement
    state.ledger = read_ledger(
        state.archive.lines(layout.ENTRIES),
        tenant=statement.scope.tenant if statement is not None else "",
        sizes=[old.size for old in state.older],
        identified=layout.PEOPLE in state.archive,
        opening=None if state.held.earlier is None else Opening(state.held.earlier),
    )
    if state.ledger.tree_problem:
        raise RefutedError(state.ledger.tree_problem)
    if state.tree.size != head.size:
        raise RefutedError(
            f"there are {state.tree.size} entries, the head was signed over {head.size}: some were"
            " added or taken away"
        )
    if state.tree.root() != head.root:
        raise RefutedError(
            "the entries give another root than was signed: some were changed or swapped"
        )
    shown_entries = state.ledger.disclosed
    return Result(f"{entries_of(head.size)}, {shown_entries} of them shown, give the signed root")


def _read_older(state: State) -> None:
    """Read older heads, those of the pack and then the reader's; a problem waits for step 6."""
    keys = state.keys.related if state.keys is not None else state.held.keys
    origin = state.need(state.head).origin
    try:
        if layout.CHECKPOINTS in state.archive:
            for note in heads.split_notes(state.text(layout.CHECKPOINTS)):
                state.older.append(heads.read_head(note, keys, origin))
    except RefutedError as error:
        state.older_problem = RefutedError(f"a head in the pack cannot be used: {error}")
        return
    if state.held.earlier is not None:
        state.older.append(state.held.earlier.head)
    try:
        if state.held.previous is not None:
            state.older.append(heads.read_head(state.held.previous, keys, origin))
    except RefutedError as error:
        state.older_problem = RefutedError(f"your previous checkpoint does not fit: {error}")


def older_heads(state: State) -> Result:
    """Step 6. Every older head is over the first entries of the same tree."""
    if state.older_problem is not None:
        raise state.older_problem
    has_proofs = layout.CONSISTENCY in state.archive
    proofs = heads.read_proofs(state.archive.read(layout.CONSISTENCY)) if has_proofs else {}
    roots = state.need(state.ledger).roots
    continuity = heads.Continuity(state.need(state.head), roots, proofs)
    kept = ["your earlier pack's head"] * (state.held.earlier is not None)
    kept += ["your previous checkpoint"] * (state.held.previous is not None)
    own = len(state.older) - len(kept)
    for old, whose in zip(state.older, ["a head in the pack"] * own + kept, strict=True):
        try:
            continuity.check(old)
        except RefutedError as error:
            raise RefutedError(f"{whose} does not fit: {error}") from None
    opening = state.need(state.ledger).opening
    if opening is not None:
        fit = " and that of your earlier one" if len(kept) == 1 else ", and so do both of yours"
        return _opened(opening, f"older heads in the pack: {own} fit{fit}")
    if state.held.previous is None:
        return Result(f"older heads in the pack: {own} fit; you gave none of your own (--previous)")
    return Result(f"older heads in the pack: {own} fit; so does the one that you kept")


def _opened(opening: Opening, heads_fit: str) -> Result:
    """What an earlier pack withheld, where this one shows it: was it such as it was said to be?

    Raises:
        RefutedError: if it had to be shown, by that pack's own word.
    """
    if wrong := tuple(opening.wrong()):
        raise RefutedError("your earlier pack withheld what it had to show", wrong[:MAX_DETAILS])
    says = f"{heads_fit}; what that withheld is shown here, and might be: {opening.opened}"
    if opening.hidden:
        still = counted(opening.hidden, "entry that it withheld is", "entries that it withheld are")
        return Result(
            says, (f"{still} withheld here too: of these nothing is known",), Verdict.WARN
        )
    return Result(says)


def vouched(state: State) -> Result:
    """Step 7. Time stamps over the checkpoint's bytes, and cosignatures of witnesses on it."""
    note = state.text(layout.CHECKPOINT)
    _refuse_own_witness(state)
    cosigned = heads.cosignatures(note + _signature_lines(state), state.held.witnesses)
    tokens = [
        name
        for name in state.archive.names
        if name.startswith("anchors/") and name.endswith(".tsr")
    ]
    stamps = _stamps(state, tokens, note.encode())
    if cosigned:
        state.level = Level.WITNESSED
    elif stamps:
        state.level = Level.ANCHORED
    details = (
        *(f"{name}: {moment:%Y-%m-%d %H:%M:%S}Z" for name, moment in stamps),
        *(_told(one) for one in cosigned),
    )
    if odd := tuple(_odd_times(state, stamps, cosigned)):
        return Result("others have signed this very head", (*details, *odd), Verdict.WARN)
    if details:
        return Result("others have signed this very head", details)
    if tokens and state.held.roots is None:
        raise NotCheckedError(
            f"the pack has {len(tokens)} time stamps; give their authority's root with --tsa-root"
        )
    if tokens:
        raise NotCheckedError(f"{tokens[0]} is not by the authority that you gave: nobody vouches")
    raise NotCheckedError("the pack has no time stamp, and no cosignature by a witness you named")


def _signature_lines(state: State) -> str:
    """What witnesses signed after the operator: receipts that are signature lines and no more.

    They stand apart from the head, because time stamps are over its bytes.
    """
    lines: dict[str, None] = {}
    room = _MAX_LINES
    for name in state.archive.names:
        if not (name.startswith("anchors/") and name.endswith(".txt")):
            continue
        if state.archive.size(name) > room:
            continue
        text = state.archive.read(name).decode(errors="replace")
        if heads.are_signature_lines(text):
            lines |= dict.fromkeys(text.splitlines(keepends=True))
            room -= len(text)
    return "".join(lines)


def _refuse_own_witness(state: State) -> None:
    """The ledger's operator is no witness of the ledger.

    Raises:
        UnusableError: if a witness's key is one of the ledger's, by whatever name.
    """
    own = state.keys.related if state.keys is not None else state.held.keys
    publics = {key.public for key in (*own, *state.held.keys)}
    for witness in state.held.witnesses:
        if witness.public in publics:
            raise UnusableError(
                f"the witness {shown(witness.name)} has the ledger's own key: nobody vouches for"
                " himself"
            )


def _told(one: heads.Cosigned) -> str:
    name = f"cosigned by {shown(one.name)}"
    if one.seen_at is None:
        return f"{name}, without a time"
    return f"{name}: {_instant(one.seen_at)}"


def _instant(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970, no day of the calendar"


def _odd_times(
    state: State, stamps: list[tuple[str, datetime]], cosigned: list[heads.Cosigned]
) -> Iterator[str]:
    """What others say of when they saw the head that cannot be, or is of no use."""
    if state.statement is None:
        return
    as_of = state.statement.scope.as_of
    for name, moment in stamps:
        if moment.timestamp() * 1000 < as_of - CLOCK_TOLERANCE_MS:
            yield f"{name} is older than the head says that it is: a clock ran ahead"
    for one in cosigned:
        if one.seen_at is None:
            continue
        if one.seen_at * 1000 < as_of - CLOCK_TOLERANCE_MS:
            yield f"{shown(one.name)} says that it signed before the head was: a clock is wrong"
        elif one.seen_at * 1000 > as_of + _LATEST_COSIGNATURE_MS:
            yield (
                f"{shown(one.name)} says that it signed more than a week after the head was: a"
                " clock is wrong, or nobody had seen the head until then"
            )


def _stamps(state: State, tokens: list[str], message: bytes) -> list[tuple[str, datetime]]:
    """The time stamps by authorities that the reader trusts."""
    if state.held.roots is None:
        return []
    stamps: list[tuple[str, datetime]] = []
    for name in tokens:
        try:
            moment = timestamp.stamped_at(state.archive.read(name), message, state.held.roots)
        except RefutedError as error:
            raise RefutedError(f"{name}: {error}") from None
        if moment is not None:
            stamps.append((name, moment))
    return stamps
