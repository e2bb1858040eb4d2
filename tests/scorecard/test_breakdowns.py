"""The score by partner, site, category, system and kind of leaver."""

from __future__ import annotations

from dataclasses import replace

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import DIMENSIONS, breakdowns, official_window, score
from tests.scorecard.population import DAY, NOW, apart, case, finding, item, leavers, open_item

WINDOW = official_window(DEFAULT, NOW)


def split(cases, **options):
    return breakdowns(cases, DEFAULT, window=WINDOW, as_of=NOW, **options)


def two_doors(okta: str, badge: str, **facts):
    return case(
        item(okta, system="okta-prod", category="identity"),
        item(badge, system="gate", category="badge"),
        **facts,
    )


def test_every_dimension_is_there_though_nobody_left():
    """Empty, and in a fixed order."""
    assert split([]) == {dimension: {} for dimension in DIMENSIONS}


def test_a_group_scores_as_if_it_were_alone():
    """By partner, site and kind: whole cases."""
    north = leavers(3)
    south = [
        replace(one, partner="south", site="cebu", kind="involuntary") for one in leavers(2, 3)
    ]
    groups = split(apart(north, south))

    assert list(groups["partner"]) == ["north", "south"]
    for dimension, name in (("partner", "south"), ("site", "cebu"), ("kind", "involuntary")):
        alone = score(apart(south), DEFAULT, window=WINDOW, as_of=NOW)
        assert groups[dimension][name].as_document() == alone.as_document()


def test_a_system_scores_by_its_own_part_of_each_case():
    """The slow badge does not spoil the directory's figure."""
    groups = split(apart([two_doors("0.1", "2")] * 10))

    assert groups["system"]["okta-prod"].within_sla == 10
    assert groups["system"]["gate"].within_sla == 0
    assert groups["category"]["badge"].exact == groups["system"]["gate"].exact
    assert groups["partner"]["north"].within_sla == 0


def test_a_category_is_as_good_as_its_worst_system():
    """The reduced case is judged by the same rule as the whole one."""
    both = case(item("0.1"), item("2", system="entra", category="identity"))

    assert split([both])["category"]["identity"].within_sla == 0


def test_a_system_counts_only_those_who_had_an_account_there():
    """The others are excluded, with the reason."""
    nowhere = case(item(), item(system="gate", category="badge", outcome="not_found", accounts=0))
    gate = split(apart([nowhere], [two_doors("0.1", "0.1")]))["system"]["gate"]

    assert (gate.n, gate.excluded) == (1, {"no_access": 1})


def test_an_optional_system_has_a_score_of_its_own():
    """It decides nothing for the case, and everything for itself."""
    late = case(item(), item("3", system="wiki", category="saas", required=False))
    groups = split([late])

    assert groups["system"]["wiki"].within_sla == 0
    assert groups["partner"]["north"].within_sla == 1


def test_an_old_case_counts_only_where_it_is_open():
    """Where its part was done before the window, it is of another year."""
    cutoff = NOW - 400 * DAY
    old = case(
        item(cutoff=cutoff),
        open_item(system="gate", category="badge", cutoff=cutoff),
        cutoff=cutoff,
    )

    assert list(split([old])["system"]) == ["gate"]


def test_cases_outside_the_window_leave_no_empty_group():
    """So that it does not matter what else was read."""
    outside = replace(two_doors("1", "1", cutoff=NOW - 400 * DAY), partner="old")

    assert split([outside])["partner"] == {}


def test_a_finding_caps_the_groups_it_is_about():
    """Named by case or by system; what cannot be placed caps all."""
    cases = apart(leavers(30), [replace(one, partner="south") for one in leavers(30)])
    used = finding("access_used", case_id="c0040", system="okta-prod")
    unplaced = finding("leaver_without_case")
    foreign = finding("orphan_account", system="unknown-system")
    orphan = finding("orphan_account", system="okta-prod")

    def caps(one, dimension):
        return {
            name: [hit.code for hit in group.caps]
            for name, group in split(cases, findings=[one])[dimension].items()
        }

    assert caps(used, "partner") == {"north": [], "south": ["access_used"]}
    assert caps(used, "category") == {"identity": ["access_used"]}
    for one in (unplaced, foreign, orphan):
        assert caps(one, "partner") == {"north": ["population"], "south": ["population"]}
    assert caps(foreign, "system") == {"okta-prod": ["population"]}
    assert caps(foreign, "category") == {"identity": ["population"]}


def test_a_finding_about_one_system_leaves_the_others_alone():
    """By system and by category."""
    cases = apart([two_doors("0.1", "0.1")] * 30)
    groups = split(cases, findings=[finding("orphan_account", system="gate")])

    assert [hit.code for hit in groups["system"]["gate"].caps] == ["population"]
    assert groups["system"]["okta-prod"].caps == ()
    assert [hit.code for hit in groups["category"]["badge"].caps] == ["population"]
    assert groups["category"]["identity"].caps == ()


def test_what_forbids_a_score_forbids_it_for_every_group():
    """An unverified ledger has no good partner in it."""
    groups = split(leavers(3), ledger_ok=False)

    assert all(group.exact is None for names in groups.values() for group in names.values())
