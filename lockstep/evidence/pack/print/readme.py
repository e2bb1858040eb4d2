"""The page that a person without tools reads first."""

from __future__ import annotations

from collections.abc import Collection

from lockstep.domain.counting import counted
from lockstep.domain.counting import entries as entries_of
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import PackSummary
from lockstep.scorecard.words import period_text, score_text

_PAGE = """\
# Evidence of revoked access

| | |
|---|---|
| Organisation | {tenant} |
| Period | from {start}, up to but not including {end} |
| As of | {as_of}, when the ledger's head was signed at {size} |
| Shown | {shown} |
| Leavers | {leavers}, in {systems} together |
| Not counted, with reason | {not_in_population} |
| Shown in detail | {samples} |
| Score of the period | {period_score} |
| Official score | {score}, of the {days} days up to the instant above, whatever the period |

When a person stops working here, their access to every system must end in time. This archive shows
for each leaver of the period when it had to end and when it did. It is made from a ledger that can
only grow: nothing in it can be changed or taken out unnoticed. {names}

To read it you need no tool: begin with `{workbook}`, then open a `timeline.pdf`
under `leavers/`, if leavers are shown in detail. All times are UTC.

## Is it genuine?

You were given a verifier key, a line that begins with `{origin}+`, by another way than this.
Never take it from the archive itself. Without a network, with Lockstep or its single-file verifier:

```sh
lockstep evidence verify PACK.zip --key 'THE KEY YOU WERE GIVEN'
```

It checks the signatures, that no file was changed, added or removed, and that the entries are
those of the signed head. Then it computes every time and the score again, from the entries alone,
and says what it cannot check. Keep `{checkpoint}`: given with `--previous`, it proves
that a later pack comes from the same ledger, grown and not rewritten.

The counts of events from HR, in the first sheet of the workbook, come from the database and not
from the ledger. Compare them with a list from HR.

## What is where

{files}

## Words

- **cutoff**: the instant at which access had to be gone. **SLA**: the time allowed after it.
- **time to revocation**: from the cutoff until access was off, confirmed by a second, independent
  look at the system (the **read-back**). What is open counts up to the instant of this pack.
- **evidence grade**: A the system's own log and a read-back; B the system's answer and a read-back;
  C a person, an artefact and a second person; D a person's word.
- **waived**: left open on purpose, for a bounded time, by two people, before the deadline.
- **withheld**: an entry of which only a hash is given. It can be counted and not be read.
"""

_ABOUT = (
    (layout.LEAVERS, "one line per leaver: when access had to end, when it did, whether in time"),
    (layout.LEAVER_SYSTEMS, "one line per leaver and system: what was done, and how we know"),
    (layout.EXCEPTIONS, "what was late, is open, was waived, or rests on a person's word"),
    (layout.NOT_IN_POPULATION, "cases of the period that are not counted, each with its reason"),
    (layout.SYSTEMS, "the systems in scope, by version of the policy"),
    (layout.WORKBOOK, "the same as a spreadsheet; its first sheet says how it was made"),
    (layout.SAMPLE, "the leavers that were drawn to be shown in detail, and how"),
    (layout.SCORE, "the official score: a fixed window that ends at the checkpoint"),
    (layout.PERIOD_SCORE, "the same computation over the period of this pack"),
    ("leavers/", "a folder per leaver shown in detail: a drawn timeline, and every entry"),
    (layout.MAPPING, "which control of which framework is shown by what"),
    (layout.OSCAL, "the same result for tools that read NIST OSCAL"),
    (layout.OCSF, "{ocsf}"),
    ("policy/", "the rules that were in force, and the definition of the score"),
    (layout.ENTRIES, "the ledger itself: every entry, or a hash in place of what is withheld"),
    (layout.CHECKPOINT, "the signed head of the ledger that this pack was made at"),
    (layout.CHECKPOINTS, "earlier signed heads: the ledger only ever grew"),
    (layout.CONSISTENCY, "proofs for earlier heads that end inside a withheld part"),
    (layout.KEYS, "by which key each later signing key was appointed"),
    ("anchors/", "receipts of those outside who keep a copy of the head, or its time"),
    (layout.PEOPLE, "WHO the leavers are. Personal data: pass it on to nobody"),
    (layout.ACTORS, "who did what to the cases, by name, as the database has it. Personal data"),
    (layout.COMMITMENTS, "the same, as the ledger was committed to it. Personal data"),
    (layout.STATEMENT, "the signature over every other file"),
)


def readme(summary: PackSummary, names: Collection[str], *, window_days: int) -> bytes:
    """The page for a pack with files of these names."""
    scope = summary.scope
    identified = f"Who they are stands in `{layout.PEOPLE}`." if scope.identified else ""
    page = _PAGE.format(
        tenant=scope.tenant,
        start=instant_text(scope.start),
        end=instant_text(scope.end),
        as_of=instant_text(scope.as_of),
        size=entries_of(summary.size),
        systems=counted(summary.counts["leaver_systems"], "system"),
        shown=_shown(summary),
        score=score_text(summary.score),
        period_score=period_text(summary.period_score, leavers=summary.counts["leavers"]),
        days=window_days,
        names=f"Leavers are numbers here, not names. {identified}".strip(),
        workbook=layout.WORKBOOK,
        checkpoint=layout.CHECKPOINT,
        origin=scope.origin,
        files="\n".join(_files({*names, layout.STATEMENT}, ocsf=_ocsf(summary))),
        **{name: summary.counts[name] for name in _COUNTS},
    )
    return page.encode()


_COUNTS = ("leavers", "leaver_systems", "not_in_population", "samples")


def _shown(summary: PackSummary) -> str:
    scope = summary.scope
    coming = "" if scope.coming else "; cases whose cutoff was still to come are withheld"
    if scope.case_id is not None:
        return f"only case {scope.case_id}; the entries of all others are withheld"
    if scope.partner is not None:
        partner = scope.partner.replace("|", "/")
        return f"only leavers of partner {partner}; the entries of all others are withheld{coming}"
    return f"all leavers{coming}"


def _ocsf(summary: PackSummary) -> str:
    """What the OCSF lines tell; what they leave out in a large pack is said and not hidden."""
    text = "for tools that read OCSF, one JSON object per line: "
    in_full = summary.counts["leavers_with_events"]
    if in_full == summary.counts["leavers"]:
        return f"{text}every event, and one finding per leaver"
    events = f"events only of the {in_full} shown in detail" if in_full else "no events"
    return (
        f"{text}**one finding per leaver, and {events}**, because there are more than"
        f" {layout.MAX_EVENT_LEAVERS:,} leavers; all of it stands in `{layout.ENTRIES}`"
    )


def _files(names: Collection[str], *, ocsf: str) -> list[str]:
    return [
        f"- `{name}`: {text.format(ocsf=ocsf)}"
        for name, text in _ABOUT
        if any(one.startswith(name) for one in names)
    ]
