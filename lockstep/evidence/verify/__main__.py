"""The verifier as a command of its own, for a machine that has nothing but Python.

    python lockstep-verify.pyz PACK --key VKEY [--tsa-root FILE] [--previous FILE] [--witness VKEY]
        [--earlier PACK]

It ends with 0 if the pack is verified, 1 if it is refuted, 2 if the input cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstep.domain.visible import visible
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.inputs import read_file, read_key, read_note, read_witness
from lockstep.evidence.verify.report import (
    NOT_CHECKED_BY_THIS,
    UNUSABLE,
    Report,
    UnusableError,
)

_WIDTH = 96


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one pack; the exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = verify_pack(
            given.pack,
            keys=[read_key(text) for text in given.key],
            tsa_root=None if given.tsa_root is None else read_file(given.tsa_root),
            previous=None if given.previous is None else read_note(given.previous),
            witnesses=[read_witness(text) for text in given.witness],
            earlier=given.earlier,
        )
    except UnusableError as error:
        sys.stderr.write(f"error: {visible(str(error))}\n")
        return UNUSABLE
    if given.json:
        sys.stdout.write(json.dumps(report.as_document(), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(map(visible, lines(report))) + "\n")
    return report.exit_code


def lines(report: Report) -> Iterator[str]:
    """The report as plain text."""
    yield from (f"{name:>8}: {value}" for name, value in report.facts.items())
    yield ""
    for step in report.steps:
        yield f"{step.number:>2} {step.verdict:<11} {step.title}"
        yield from _indented(step.sentence)
        for detail in step.details:
            yield from _indented(f"- {detail}")
    yield ""
    yield from textwrap.wrap(
        f"{'VERIFIED' if report.is_verified else 'REFUTED'}, {report.label}", _WIDTH
    )
    yield ""
    yield "What this does not check:"
    for sentence in NOT_CHECKED_BY_THIS:
        yield from textwrap.wrap(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ")


def _indented(text: str) -> list[str]:
    blank = " " * 15
    return textwrap.wrap(text, _WIDTH, initial_indent=blank, subsequent_indent=blank)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep-verify",
        description="Checks an evidence pack without network and without the ledger's operator.",
        epilog="Ends with 0: verified, 1: refuted, 2: unusable input.",
    )
    parser.add_argument("pack", type=Path, help="the ZIP file")
    parser.add_argument(
        "--key",
        action="append",
        required=True,
        help="verifier key of the ledger, or a file that holds it; may be given several times",
    )
    parser.add_argument(
        "--tsa-root", type=Path, help="root certificate of a time stamp authority (PEM or DER)"
    )
    parser.add_argument("--previous", type=Path, help="a signed checkpoint that you kept")
    parser.add_argument(
        "--witness", action="append", default=[], help="key of a witness, or a file that holds it"
    )
    parser.add_argument(
        "--earlier", type=Path, help="a pack that you kept: was what it withheld such as it said?"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for a script to read")
    return parser


if __name__ == "__main__":
    sys.exit(main())
