"""Names of a pack's files, and its bounds. Only the standard library: the verifier reads it too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

FORMAT = 4
"""Version of the layout and of the predicate."""
READABLE_FORMATS = frozenset({1, 2, 3, 4})
"""In format 2 an amendment may state everything anew, which an older verifier cannot follow; in
format 3 a score says how far what is withheld could move it; in format 4 the metric's definition
may be of form 2, by which clock and population follow other rules.
"""

PREDICATE_TYPE = "https://lockstep.invalid/evidence-pack/v1"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

README = "README.md"
STATEMENT = "statement.dsse.json"

CHECKPOINT = "ledger/checkpoint.txt"
CHECKPOINTS = "ledger/checkpoints.txt"
ENTRIES = "ledger/entries.jsonl"
CONSISTENCY = "ledger/consistency.json"
KEYS = "ledger/keys.json"

LEAVERS = "population/leavers.csv"
LEAVER_SYSTEMS = "population/leaver_systems.csv"
EXCEPTIONS = "population/exceptions.csv"
NOT_IN_POPULATION = "population/not_in_population.csv"
SYSTEMS = "population/systems.csv"
WORKBOOK = "population/population.xlsx"
SAMPLE = "population/sample.csv"

SCORE = "score/score.json"
PERIOD_SCORE = "score/period.json"

OSCAL = "oscal/assessment-results.json"
OCSF = "ocsf/events.jsonl"
MAPPING = "controls/mapping.csv"
PEOPLE = "identified/people.csv"
ACTORS = "identified/actors.csv"
COMMITMENTS = "identified/commitments.csv"
"""What `PEOPLE` follows from; a pack without it has these columns in `PEOPLE` itself."""

NOTE_SEPARATOR = "---\n"
"""Stands between two notes of `CHECKPOINTS`."""

MAX_SAMPLE = 1000
"""Leavers whose timelines a pack draws at most: each is a document to read."""

OCSF_VERSIONS = {"1.9": "1.9.0", "1.8": "1.8.0"}
"""What ``--ocsf`` takes, and the version that the lines then carry."""

MAX_EVENT_LEAVERS = 2000
"""The largest population of which OCSF tells every event.

Beyond it only leavers in detail are told so; of each other there is the finding alone. Fifty lines
for each of 100,000 leavers are gigabytes that repeat what stands in `ENTRIES`.
"""

ALWAYS_SHOWN = ("policy:adopted", "metric:adopted", "ledger:", "feed:")
"""Beginnings of the kinds of entries that every pack discloses."""


def policy_name(digest: str) -> str:
    return f"policy/{digest}.json"


def metric_name(digest: str) -> str:
    return f"policy/metric-{digest}.json"


def timeline_name(case_id: str) -> str:
    return f"leavers/{case_id}/timeline.pdf"


def case_name(case_id: str) -> str:
    return f"leavers/{case_id}/case.json"


def receipt_name(anchor: str, *, is_timestamp: bool) -> str:
    return f"anchors/{anchor}.{'tsr' if is_timestamp else 'txt'}"


REQUIRED = frozenset(
    {
        *(README, CHECKPOINT, CHECKPOINTS, ENTRIES, CONSISTENCY, KEYS),
        *(LEAVERS, LEAVER_SYSTEMS, EXCEPTIONS, NOT_IN_POPULATION, SYSTEMS, SAMPLE),
        *(SCORE, PERIOD_SCORE),
    }
)
"""Files without which a pack proves nothing; the statement beside them."""

_MAY_BE = frozenset({WORKBOOK, OSCAL, OCSF, MAPPING})
_NAMING = frozenset({PEOPLE, ACTORS, COMMITMENTS})
_RECEIPT = re.compile(r"anchors/[A-Za-z0-9][A-Za-z0-9._-]*\.(tsr|txt)")
_DETAIL = re.compile(r"leavers/[A-Za-z0-9][A-Za-z0-9._-]*/(timeline\.pdf|case\.json)")


def foreign(
    names: Iterable[str], *, policies: Iterable[str], metric: str, identified: bool
) -> Iterator[str]:
    """Names of files that no pack has which says so of itself.

    Args:
        names: of all files but the statement.
        policies: digests of the policies that it says it has.
        metric: digest of the definition that it says it has.
        identified: whether it says that it names people.
    """
    own = REQUIRED | _MAY_BE | {metric_name(metric), *map(policy_name, policies)}
    own |= _NAMING if identified else frozenset()
    for name in names:
        if not (name in own or _RECEIPT.fullmatch(name) or _DETAIL.fullmatch(name)):
            yield name
