"""A vendor's name stands in the vendor's own folders, and on one line of each registry.

So that the next vendor is a folder of a connector, one of a simulator, one of tests and two lines,
and no table, message or comment elsewhere has to hear of it. Pages (`*.md`, docs/) may name
vendors as examples.

Outside the tests the rule is strict. A test of another subject needs some system, and should name
one that no vendor has. Those that name a vendor are listed in `vendor_names.txt`: the list may only
shrink. Recorded histories are as they were recorded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import vendor_names
from tests.support.vendor_names import ROOT, VENDORS, code, found, in_text, texts

TO_SHRINK = Path(__file__).with_name("vendor_names.txt")
EXCUSED = {
    "connectors/anchors/s3.py": {"aws"},  # the protocol's owner; "aws:kms" is a value of its own
    "connectors/kit/auth/sigv4.py": {"aws"},  # whose way of signing it is, by name
    # The package of a server that the sandbox starts; the one connector that imports a driver.
    "pyproject.toml": {"scim", "postgresql_roles"},
}


def strangers(root: Path = ROOT) -> dict[str, dict[str, list[int]]]:
    """What names a vendor outside the tests, without what is excused."""
    told = {}
    for file, kinds in found(code(root), root).items():
        left = {kind: at for kind, at in kinds.items() if kind not in EXCUSED.get(file, ())}
        if left:
            told[file] = left
    return told


def test_no_code_names_a_vendor_that_is_not_its_own() -> None:
    """In no string, comment, template, script or settings example."""
    assert strangers() == {}


def test_what_is_excused_is_still_there() -> None:
    """An excuse that nothing needs would cover the next name."""
    told = found(code())
    for file, kinds in EXCUSED.items():
        assert kinds <= set(told.get(file, ())), file


def test_no_other_test_names_a_vendor() -> None:
    """A test of another subject that begins to is noticed, and one that no longer does leaves."""
    told = dict(found(texts(ROOT / "tests")))
    listed = TO_SHRINK.read_text("utf-8").split()

    told.pop(TO_SHRINK.relative_to(ROOT).as_posix(), None)
    names = {file for file in told if not file.startswith("tests/replay/histories/")}
    assert sorted(names) == listed


@pytest.mark.parametrize("kind", VENDORS)
def test_each_name_is_noticed(kind: str, tmp_path: Path) -> None:
    """Planted in code, as a value, and in an example of settings; not in the vendor's folders."""
    planted = {
        "lockstep/web/page.py": f'KINDS = ("{kind}",)\n',
        "lockstep/web/more.py": f"from connectors.{kind} import spec\n",
        "docker-compose.yml": f"command: --{kind}-port 1\n",
        "connectors/other/spec.py": f"\n{kind}_token = 1\n",
        f"connectors/{kind}/spec.py": f'KIND = "{kind}"\n',
        f"sandbox/vendors/{kind}/simulator.py": f'name = "{kind}"\n',
        "connectors/registry.py": f'    "{kind}": "connectors.{kind}.connector",\n',
        "docs/page.md": f"`{kind}`\n",
    }
    for name, text in planted.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    told = set(strangers(tmp_path))
    assert told >= {"lockstep/web/page.py", "lockstep/web/more.py", "docker-compose.yml"}
    assert ("connectors/other/spec.py" in told) == (kind not in vendor_names.STANDARDS)
    assert len(told) <= 4


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Okta ends its sessions", {"okta"}),
        ("class OktaUser:", {"okta"}),
        ("AWSDenyAll, or KISI-LOGIN", {"aws", "kisi"}),
        ("scim2-server --port", {"scim"}),
        ("laws of Saws, a tailscales", set()),
        ("the same instant, an instant later", set()),
        ("instant_text(at)", set()),
        ('vendor = Instant("x")', {"instant"}),
        ('connector = "instant"', {"instant"}),
        ("from sandbox.vendors.instant import x", {"instant"}),
    ],
)
def test_a_name_is_a_word_of_its_own(line: str, named: set[str]) -> None:
    """Also within an identifier; and a word of every day only where it names the vendor."""
    assert {kind for kind, _ in in_text("lockstep/x.py", line)} == named


@pytest.mark.parametrize(
    "row",
    [
        '"okta": "connectors.okta.connector",  # Okta',
        '"okta": "connectors.scim.connector",',
        '"okta": True,',
    ],
)
def test_only_the_registrys_row_is_excused(row: str) -> None:
    """Nothing else on that line, and no other table in that file."""
    assert [kind for kind, _ in in_text("connectors/registry.py", f"    {row}")]
    assert not list(in_text("connectors/registry.py", '    "okta": "connectors.okta.connector",'))
