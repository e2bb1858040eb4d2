"""Names of partners and sites: what only looks like one of them is none."""

from __future__ import annotations

import pytest

from lockstep.domain.intake.place_names import PlaceList, Seen, shape, tidy, trouble_of

KNOWN = Seen({"Northwind BPO": ["Manila 2", "Cebu"], "ACME": [""], "Contoso": ["Davao"]})
LISTED = PlaceList(("Northwind BPO", "ACME"), ("Manila 2", "Cebu"))
ALIKE = {
    "case": "northwind bpo",
    "capitals": "NORTHWIND BPO",
    "without a blank": "NorthwindBPO",
    "an accent": "Northwínd BPO",
    "a dot below": "Northwin\u0323d BPO",
    "without a dot": "Northw\u0131nd BPO",
    "one for l": "Northw1nd BPO",
    "zero": "N0rthwind BPO",
    "two letters for one": "Northvvind BPO",
    "ipa": "Northwin\u0257 BPO",
}
STRANGE = {
    "zero width": "North\u200bwind BPO",
    "joiner": "North\u200dwind BPO",
    "soft hyphen": "North\u00adwind BPO",
    "right to left": "\u202eNorthwind BPO",
    "isolate": "\u2066Northwind BPO\u2069",
    "byte order mark": "\ufeffNorthwind BPO",
    "filler": "Northwind BPO\u3164",
    "variation": "Northwind\ufe0f BPO",
    "tag": "Northwind BPO\U000e0041",
    "cyrillic": "N\u043erthwind BPO",
    "greek": "N\u03bfrthwind BPO",
    "greek capital": "\u039dorthwind BPO",
    "armenian": "N\u0585rthwind BPO",
    "cherokee": "Northwind \u13f4PO",
    "lisu": "Northwind \ua4d0PO",
    "full width": "\uff2eorthwind BPO",
    "bold": "\U0001d40dorthwind BPO",
    "ligature": "Northwind O\ufb03ce",
}


@pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("listed", [PlaceList(), LISTED], ids=["any", "listed"])
def test_letters_that_are_not_what_they_look_like_make_no_name(name: str, listed: PlaceList):
    """Unseen ones, those that turn the direction, and those of a second script in a word."""
    assert trouble_of(tidy(name))
    for seen in (KNOWN, Seen()):
        assert listed.problem("partner", name, seen=seen).startswith("partner: ")


@pytest.mark.parametrize("name", ALIKE.values(), ids=ALIKE)
def test_a_name_that_looks_like_another_is_none(name: str):
    """Where nothing is listed, what is in use counts; a list tells which is meant."""
    assert "looks like 'Northwind BPO'" in PlaceList().problem("partner", name, seen=KNOWN)
    assert "is 'Northwind BPO' meant?" in LISTED.problem("partner", name, seen=KNOWN)


@pytest.mark.parametrize("name", ["\u0410\u0421\u041c\u0415", "\u0391CME", "A\u216dME", "acme"])
def test_a_word_of_another_script_is_seen_through(name: str):
    """Though all of its letters are of one."""
    assert PlaceList().problem("partner", name, seen=KNOWN)
    assert LISTED.problem("partner", name)


@pytest.mark.parametrize(
    "name",
    [
        "Northwind BPO",
        " Northwind   BPO ",
        "Northwind\u00a0BPO",
        "Fabrikam",
        "Northwind BPO 2",
        "\u039a\u03b1\u03bb\u03b1\u03bc\u03ac\u03c4\u03b1 BPO",
        "\u041a\u0438\u0457\u0432",
        "\u682a\u5f0f\u4f1a\u793e ABC",
        "S\u00e3o Paulo",
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3 Lanka",
        "Acme\u2122 Ltd.",
        "O\u2019Neill & Co",
        "",
    ],
)
def test_other_names_are_names(name: str):
    """Known ones, new ones, those of other scripts, and none."""
    assert PlaceList().problem("partner", name, seen=KNOWN) == ""


def test_what_is_listed_is_what_there_is():
    """Any other name is refused, with the one that is likely meant; a list of sites as well."""
    assert LISTED.problem("partner", "Northwind BPO") == ""
    assert "'Northwind BPO' meant" in LISTED.problem("partner", "Nortwind")
    assert LISTED.problem("partner", "Zeta") == (
        "partner: none has this name: the settings list those that there are ([policy])"
    )
    assert "'Manila 2' meant" in LISTED.problem("site", "Manila", partner="ACME")
    assert LISTED.problem("site", "") == ""


def test_of_others_names_nothing_is_told():
    """Whoever is bound hears neither a likely name nor that one is in use."""
    mine = frozenset({"Contoso"})
    assert LISTED.problem("partner", "acme", seen=KNOWN, mine=mine) == ""
    odd = frozenset({"acme", "Contoso"})  # of whoever was bound to a name that is none
    for listed in (LISTED, PlaceList()):
        problem = listed.problem("partner", "acme", seen=KNOWN, mine=odd)
        assert problem
        assert "ACME" not in problem
    assert PlaceList().problem("partner", "acme", seen=KNOWN, mine=mine) == ""
    assert PlaceList().problem("site", "davao", partner="ACME", seen=KNOWN) == ""
    assert "looks like 'Davao'" in PlaceList().problem(
        "site", "davao", partner="Contoso", seen=KNOWN
    )


@pytest.mark.parametrize(("one", "other"), [("Tower II", "Tower I"), ("Site A", "Site B")])
def test_names_that_can_be_told_apart_have_two_shapes(one: str, other: str):
    """The guard can pass."""
    assert shape(one) != shape(other)
