"""OSCAL assessment results: valid, the same every time, and no kinder than the figures."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.standards.oscal import MAX_EXCEPTIONS, assessment_results
from tests.evidence import samples
from tests.evidence.pack.oscal_model import faults
from tests.evidence.samples import DAY, HOUR, SECOND, SYSTEMS, Tale, digest_of, files, summary

LOOK = 10 * DAY
MISSING = "11111111-1111-5111-8111-111111111111"


def line(case_id: str, tale: Tale) -> CaseLine:
    """The case under another id."""
    told = tale.line(LOOK)
    return CaseLine(replace(told.facts, case_id=case_id), told.result, told.leaf_hash)


GOOD = (line("cfast", samples.fast()), line("cmixed", samples.mixed()))
BAD = line("clate", samples.late())
OUT = line("cresc", samples.rescinded())


def document(*lines: CaseLine, shown=("cfast",), **scope):
    return assessment_results(summary(**scope), lines, files(*shown))


def result_of(made):
    [result] = made["assessment-results"]["results"]
    return result


def states(made):
    found = result_of(made)["findings"]
    return {one["target"]["target-id"]: one["target"]["status"]["state"] for one in found}


@pytest.mark.parametrize(
    "made",
    [
        document(*GOOD),
        document(*GOOD, BAD, OUT, shown=("cfast", "clate", "cresc")),
        document(BAD, partner="Łódź 東京\nline two", case_id="clate", seed="  ", identified=True),
        document(shown=()),
        document(OUT, shown=()),
    ],
    ids=["good", "all", "odd", "empty", "rescinded alone"],
)
def test_the_document_is_as_the_model_asks(made):
    """NIST's model takes it, values have its forms, and references lead somewhere."""
    assert faults(made) == []


def _spoil(path: str, value: object):
    def spoil(made) -> None:
        *parents, last = path.split("/")
        place = made["assessment-results"]
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil("import-ap", None),
        _spoil("surprise", 1),
        _spoil("uuid", "not-a-uuid"),
        _spoil("metadata/last-modified", "yesterday"),
        _spoil("results", []),
        _spoil("results/0/reviewed-controls", None),
        _spoil("results/0/observations/0/collected", None),
        _spoil("results/0/findings/0/target/status/state", "partially-satisfied"),
        _spoil("results/0/findings/0/target/target-id", "not a token"),
        _spoil("results/0/findings/0/related-observations/0/observation-uuid", digest_of("x")),
        _spoil("results/0/props/0/value", " blank before"),
        _spoil("import-ap/href", "#00000000-0000-5000-8000-000000000000"),
        # What only the whole model knows, or what a kind reader of it lets pass.
        _spoil("metadata/last-modified", 1_700_000_000),
        _spoil("results/0/start", "2026-07-01T00:00:00+08:00"),
        _spoil("back_matter", {"resources": []}),
        _spoil("back-matter/resources/0/citation", "a text where an object belongs"),
        _spoil("results/0/risks", [{"title": "no id"}]),
        _spoil("results/0/findings/0/target/type", "control-id"),
        _spoil("results/0/observations/0/types", ["has a blank"]),
        _spoil("results/0/findings/0/related-observations/0/observation-uuid", MISSING),
    ],
)
def test_the_check_against_the_model_can_fail(spoil):
    """Each planted fault is found, so that the test above means something."""
    made = copy.deepcopy(document(*GOOD))

    spoil(made)

    assert faults(made) != []


def test_the_same_pack_gives_the_same_document():
    """Ids come from origin, root and question; nothing from a clock or from chance."""
    assert json.dumps(document(*GOOD)) == json.dumps(document(*GOOD))


@pytest.mark.parametrize(
    "changes", [{"end": 1}, {"partner": "northwind"}, {"seed": "other"}, {"origin": "acme/two"}]
)
def test_another_question_gives_another_document(changes):
    """Two packs of one checkpoint must not share ids."""
    one, other = document(*GOOD), document(*GOOD, **changes)

    assert one["assessment-results"]["uuid"] != other["assessment-results"]["uuid"]


def test_everything_in_time_satisfies():
    """The mixed case rests in part on a person with an artefact and a second person: enough."""
    assert states(document(*GOOD)) == {
        "ps-4_smt.a": "satisfied",
        "ps-4_smt.b": "satisfied",
        "ps-7_smt.d": "satisfied",
        "ac-2_smt.f": "satisfied",
        "ac-2.3_smt.b": "satisfied",
    }


def test_one_late_and_open_leaver_satisfies_nothing():
    """A miss is a miss, however many were in time; the reason stands beside it."""
    made = document(*GOOD, BAD)

    assert set(states(made).values()) == {"not-satisfied"}
    first = result_of(made)["findings"][0]
    assert first["target"]["status"]["reason"] == "fail"
    assert first["description"].startswith("1 of 3 missed. ")


def test_late_but_closed_leaves_nothing_open():
    """Time and completeness are judged apart: statement a against b."""
    tale = Tale(SYSTEMS[:1]).begun().attempt("okta-prod", SECOND).outcome("okta-prod", 5 * HOUR)

    found = states(document(line("cslow", tale.closed(6 * HOUR))))

    assert found["ps-4_smt.a"] == found["ac-2.3_smt.b"] == "not-satisfied"
    assert found["ps-4_smt.b"] == found["ac-2_smt.f"] == "satisfied"


def test_one_persons_word_does_not_satisfy_account_management():
    """Grade D has neither a read-back nor an artefact with a second person."""
    tale = Tale(SYSTEMS[5:]).begun().attest("client-crm", HOUR, strong=False).closed(HOUR)

    found = states(document(line("cword", tale)))

    assert (found["ac-2_smt.f"], found["ps-4_smt.a"]) == ("not-satisfied", "satisfied")


def test_late_notice_counts_against_the_provider_alone():
    """HR spoke after the cutoff, the machine was fast after that."""
    tale = Tale(SYSTEMS[:1], notice=HOUR / 2).begun()
    tale.attempt("okta-prod", HOUR).outcome("okta-prod", HOUR).closed(HOUR)

    found = states(document(line("cnotice", tale)))

    assert found["ps-7_smt.d"] == "not-satisfied"
    assert found["ps-4_smt.a"] == "satisfied"


def test_without_partners_nothing_is_said_of_providers():
    """What was not tested is not found."""
    tale = Tale(SYSTEMS[:1], partner="").begun().revoked("okta-prod").closed(3 * SECOND)

    assert "ps-7_smt.d" not in states(document(line("cown", tale)))


@pytest.mark.parametrize("lines", [(), (OUT,)])
def test_nothing_tested_is_no_finding(lines):
    """An empty period does not prove that a control works."""
    result = result_of(document(*lines, shown=()))

    assert "findings" not in result
    assert "no proof that it works" in result["description"]


def test_shown_leavers_and_exceptions_have_observations_of_their_own():
    """With a link to the evidence in the pack; the rest is in the aggregate."""
    result = result_of(document(*GOOD, BAD))

    titles = [one["title"] for one in result["observations"]]

    assert titles[5:] == ["Leaver cfast", "Leaver clate"]
    [late] = [one for one in result["observations"] if one["title"] == "Leaver clate"]
    assert late["types"] == ["finding"]
    assert late["uuid"] in {
        one["observation-uuid"] for one in result["findings"][0]["related-observations"]
    }


def test_a_large_population_is_bounded():
    """Exceptions beyond the limit are counted, and stand in the pack's own list."""
    many = (line(f"c{number:04}", samples.late()) for number in range(3))
    one = BAD
    copies = [replace(one.facts, case_id=f"c{number:05}") for number in range(MAX_EXCEPTIONS + 40)]
    lines = (CaseLine(facts, one.result, one.leaf_hash) for facts in copies)

    made = assessment_results(summary(), (*many, *lines), files())

    result = result_of(made)
    assert len(result["observations"]) == 5 + MAX_EXCEPTIONS
    assert result["findings"][0]["description"].startswith(f"{MAX_EXCEPTIONS + 43} of ")
    assert faults(made) == []


def test_every_file_of_the_pack_stands_with_its_hash():
    """The document can be checked against the pack, file by file."""
    resources = document(*GOOD)["assessment-results"]["back-matter"]["resources"]

    told = {
        one["title"]: one["rlinks"][0]["hashes"][0]["value"] for one in resources if "rlinks" in one
    }

    assert told == files("cfast")
    assert resources[0]["title"] == "No assessment plan"


def test_links_are_relative_to_the_document():
    """It lies in a folder of the pack."""
    assert layout.OSCAL.count("/") == 1

    resources = document(*GOOD)["assessment-results"]["back-matter"]["resources"]

    hrefs = [one["rlinks"][0]["href"] for one in resources if "rlinks" in one]
    assert all(href.startswith("../") for href in hrefs)


def test_it_was_last_modified_when_the_checkpoint_was_signed():
    """So that nothing in it depends on the day of the export."""
    scope = summary().scope

    made = document(*GOOD)["assessment-results"]

    assert made["metadata"]["last-modified"] == instant_text(scope.as_of)
    assert result_of({"assessment-results": made})["start"] == instant_text(scope.start)


def test_names_of_leavers_are_nowhere():
    """Only the pseudonym, the case and the ledger's indexes."""
    text = json.dumps(document(*GOOD, BAD))

    assert samples.SUBJECT in text
    assert "@" not in text
