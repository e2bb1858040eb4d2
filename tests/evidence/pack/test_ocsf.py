"""OCSF lines: as the schema asks, at the source's time, and traceable to the ledger."""

from __future__ import annotations

import copy

import pytest

from lockstep.domain.systems.access import AccessKind
from lockstep.evidence.format.plain import instant_ms, instant_text, plain_bytes
from lockstep.evidence.pack.standards.ocsf import ocsf_events
from lockstep.evidence.pack.standards.ocsf_classes import shapes_for
from tests.evidence import samples
from tests.evidence.pack.ocsf_schema import (
    CLASSES,
    EVENT,
    MAY,
    OBJECTS,
    RELEASED,
    faults,
    official,
    official_faults,
    transcribed_faults,
)
from tests.evidence.samples import CUTOFF, DAY, HOUR, SECOND, SYSTEMS, TENANT, Tale, ms

VERSIONS = ("1.9.0", "1.8.0")
EVERY_KIND = [*(kind.value for kind in AccessKind), "token", "group", "role", "session"]


def everything() -> Tale:
    """One system in which every kind of access stood."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND)
    return tale.outcome("okta-prod", 2 * SECOND, removed=EVERY_KIND).closed(3 * SECOND)


TALES = {
    "fast": (samples.fast, 5 * DAY),
    "mixed": (samples.mixed, DAY),
    "late": (samples.late, 10 * DAY),
    "rescinded": (samples.rescinded, DAY),
    "future": (Tale, -DAY),
    "pending": (lambda: Tale().begun(), HOUR),
    "everything": (everything, DAY),
}


def events_of(tale: Tale, after=DAY, version="1.9.0"):
    return list(ocsf_events(tale.line(after), tale.leaves, version=version, tenant=TENANT))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", TALES)
def test_every_event_is_as_the_schema_asks(name, version):
    """Required members, known members, closed sets and their names."""
    make, after = TALES[name]

    found = [
        fault for event in events_of(make(), after, version) for fault in faults(event, version)
    ]

    assert found == []


SPOILED = [
    lambda event: event.pop("compliance"),
    lambda event: event.update(activity_id=42),
    lambda event: event.update(surprise=1),
    lambda event: event["metadata"].pop("product"),
    lambda event: event["raw_data_hash"].pop("algorithm_id"),
    lambda event: event.update(class_uid=9999),
]
"""One fault each that both the schema and the transcription know."""
SPOILED_FOR_US = [
    lambda event: event["compliance"].update(status_id=3),
    lambda event: event["raw_data_hash"].pop("algorithm"),
    lambda event: event["evidences"].clear(),
    lambda event: event["evidences"][0].update(user={"type_id": 1, "type": "User"}),
]
"""What the schema alone lets pass: a number with another's name, an empty list, a nobody."""


@pytest.mark.parametrize("check", [official_faults, transcribed_faults])
@pytest.mark.parametrize("spoil", SPOILED)
def test_each_check_of_an_event_can_fail(spoil, check):
    """Each planted fault is found, so that the test above means something."""
    event = copy.deepcopy(events_of(samples.fast(), version="1.8.0")[-1])
    assert check(event, "1.8.0") == []

    spoil(event)

    assert check(event, "1.8.0") != []


@pytest.mark.parametrize("spoil", [*SPOILED, *SPOILED_FOR_US])
def test_the_check_of_the_newest_version_can_fail(spoil):
    """Its schema is not at hand: the transcription must find every fault alone."""
    event = copy.deepcopy(events_of(samples.fast())[-1])
    assert faults(event, "1.9.0") == []

    spoil(event)

    assert faults(event, "1.9.0") != []


@pytest.mark.parametrize("class_uid", CLASSES["1.8.0"])
def test_the_transcription_of_a_class_is_no_kinder_than_the_schema(class_uid):
    """Nothing that the schema requires is left out, nothing that it does not know is allowed."""
    schema = official("1.8.0")
    name, required, allowed, activities = CLASSES["1.8.0"][class_uid]
    real = schema.get_class_schema(schema.lookup_class_name_from_uid(class_uid))
    names = schema.schema["classes"][schema.lookup_class_name_from_uid(class_uid)]
    known = names["attributes"]["activity_id"]["enum"]

    assert name == real["title"]
    assert set(real["required"]) <= EVENT | required
    assert EVENT | MAY | required | allowed <= real["properties"].keys()
    assert activities == {number: known[str(number)]["caption"] for number in activities}


@pytest.mark.parametrize("member", sorted(OBJECTS.keys() - {"iam_roles"}))  # new in 1.9.0
def test_the_transcription_of_an_object_is_no_kinder_than_the_schema(member):
    """What both versions share is held against the one whose schema is at hand."""
    schema = official("1.8.0")
    required, allowed, some = OBJECTS[member]
    real = schema.get_object_schema(
        schema.schema["dictionary"]["attributes"][member]["object_type"]
    )
    asked = {one["required"][0] for one in real.get("anyOf", ())}

    assert set(real.get("required", ())) <= required
    assert required | allowed <= real["properties"].keys()
    assert bool(some) == bool(asked)
    assert some <= asked


def test_a_version_with_a_schema_of_its_own_is_checked_by_it():
    """Where the package has learned 1.9.0, the transcription of it is no longer needed."""
    assert {version for version in VERSIONS if version in RELEASED} == {"1.8.0"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_access_has_a_class(version):
    """A new kind cannot be forgotten: the mapping is total."""
    assert set(shapes_for(version)) == {kind.value for kind in AccessKind}


def test_the_retired_classes_are_not_used_in_the_new_version():
    """1.9.0 has deprecated Account Change and User Access Management."""
    used = {event["class_uid"] for event in events_of(everything())}

    assert used == {2003, 3002, 3004, 3006, 3007}


def test_the_old_version_has_the_classes_of_its_time():
    """User Management is new in 1.9.0."""
    used = {event["class_uid"] for event in events_of(everything(), version="1.8.0")}

    assert used == {2003, 3001, 3002, 3004, 3005, 3006}


def test_an_unknown_version_is_refused():
    """Better no lines than lines of a version that nobody mapped."""
    with pytest.raises(ValueError, match=r"no mapping to OCSF 2\.0"):
        events_of(samples.fast(), version="2.0")


def test_nothing_that_was_closed_is_missing():
    """Every commitment of what was removed stands in exactly one line."""
    for version in VERSIONS:
        tale = everything()
        outcome = next(e for _, e in tale.entries if e["kind"] == "revocation:outcome")
        removed = sorted(item["ref"] for item in outcome["data"]["removed"])

        told = [event["unmapped"]["refs"] for event in events_of(tale, version=version)[:-1]]

        assert sorted(ref for refs in told for ref in refs) == removed


def test_time_is_when_the_vendor_accepted():
    """Not when we read back or wrote it down; those stand beside it."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND)
    tale.outcome("okta-prod", 2 * SECOND, 5 * SECOND, removed=("sign_in",))

    event = events_of(tale)[0]

    assert event["time"] == ms(CUTOFF + 2 * SECOND)
    assert event["metadata"]["original_time"] == instant_text(event["time"])
    assert event["metadata"]["logged_time"] == ms(CUTOFF + 5 * SECOND) + 4
    assert instant_ms(event["unmapped"]["confirmed_at"]) == ms(CUTOFF + 5 * SECOND)


def test_an_aggregate_says_how_many_and_from_when_to_when():
    """Two tokens in one line: the first time is the time, as OCSF asks."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND)
    tale.outcome("okta-prod", 2 * SECOND, removed=("token", "token"))

    event = events_of(tale)[0]

    end = ms(CUTOFF + 2 * SECOND)
    assert (event["count"], event["time"]) == (2, end - 10)
    assert (event["start_time"], event["end_time"]) == (end - 10, end)
    assert len(event["user"]["programmatic_credentials"]) == 2


def test_what_cannot_be_told_apart_is_closed_not_later_than_its_time():
    """Two groups in two lines: which call was for which is not in the entry."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND)
    tale.outcome("okta-prod", 2 * SECOND, removed=("group", "group"))

    first, second, _ = events_of(tale)

    assert first["time"] == second["time"] == ms(CUTOFF + 2 * SECOND)
    assert first["group"]["uid"] != second["group"]["uid"]


def test_what_no_call_of_ours_closed_has_the_time_of_r():
    """A lost reply, or somebody else: gone between two looks, at R at the latest."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND)
    tale.outcome("okta-prod", 2 * SECOND, removed=("sign_in",))
    outcome = tale.entries[-1][1]
    outcome["data"]["accepted"] = []

    assert events_of(tale)[0]["time"] == ms(CUTOFF + 2 * SECOND)


def test_the_leaver_is_a_pseudonym_and_the_case_binds_the_lines():
    """Subject, case, leaf and leaf hash lead back to the ledger."""
    tale = samples.fast()
    leaves = dict(tale.entries)

    for event in events_of(tale)[:-1]:
        about = event["metadata"]
        assert about["correlation_uid"] == samples.CASE
        assert leaves[about["sequence"]]["system"] == event["unmapped"]["system"]
        user = event.get("user") or (event.get("users") or [event.get("entity", {}).get("user")])[0]
        assert user["uid"] == samples.SUBJECT
        assert len(event["raw_data_hash"]["value"]) == 64


def test_every_line_has_an_id_of_its_own_and_always_the_same():
    """Two exports can be joined, and no line hides another."""
    first, second = (events_of(everything()) for _ in range(2))
    ids = [event["metadata"]["uid"] for event in first]

    assert len(set(ids)) == len(ids)
    assert [plain_bytes(event) for event in first] == [plain_bytes(event) for event in second]


@pytest.mark.parametrize(
    ("name", "verdict", "state"),
    [
        ("fast", "Pass", "done"),
        ("mixed", "Pass", "done"),
        ("late", "Fail", "overdue"),
        ("pending", "Warning", "pending"),
        ("rescinded", "Not applicable", "rescinded"),
        ("future", "Not applicable", "future"),
    ],
)
def test_the_finding_says_what_the_metric_says(name, verdict, state):
    """Warning is kept for what has no result yet; open and overdue is a failure."""
    make, after = TALES[name]

    compliance = events_of(make(), after)[-1]["compliance"]

    assert (compliance["status"], compliance["status_code"]) == (verdict, state)


def test_a_case_that_rests_on_one_persons_word_is_no_pass():
    """Grade D lacks the information that a pass needs."""
    tale = Tale(SYSTEMS[5:]).begun().attest("client-crm", HOUR, strong=False)

    finding = events_of(tale)[-1]

    assert finding["compliance"]["status"] == "Warning"
    assert finding["compliance"]["checks"][0]["status"] == "Warning"


def test_the_finding_has_one_check_per_system():
    """A late system is named, the others are not blamed."""
    finding = events_of(samples.late(), 10 * DAY)[-1]

    verdicts = {check["uid"]: check["status"] for check in finding["compliance"]["checks"]}

    assert verdicts == {
        "aws-client": "Fail",
        "client-crm": "Fail",
        "github": "Fail",
        "kisi-cebu": "Pass",
        "okta-prod": "Pass",
        "tailscale": "Fail",
    }
    assert (finding["severity"], finding["status"]) == ("High", "New")


def test_the_time_of_a_finding_does_not_move_with_the_export():
    """An overdue case failed when its time ran out, however late somebody looks."""
    early, later = (events_of(samples.late(), after)[-1] for after in (8 * DAY, 10 * DAY))

    assert early["time"] == later["time"]


def test_without_entries_there_is_the_finding_alone():
    """A large population can be told case by case without the detail."""
    events = list(ocsf_events(samples.fast().line(DAY), (), version="1.9.0", tenant=TENANT))

    assert [event["class_uid"] for event in events] == [2003]
