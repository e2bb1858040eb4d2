"""A recipe is strict: what is wrong with it is said at once, each with file, line and reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from connectors.base import ConnectorOptions
from connectors.recipe.lines import Lines
from connectors.recipe.spec import MANIFEST, RecipeError, manifest_for, read_recipe
from tests.connectors.recipe.harness import FILE

GOOD = FILE.read_text("utf-8")
SECRET = "sk_live_4f9a2c7e1b8d"


def told(place: Path, text: str) -> list[str]:
    """What is wrong with a recipe, without the file's folder."""
    file = place / "desk.toml"
    file.write_text(text)
    try:
        read_recipe(file)
    except RecipeError as error:
        return [line.removeprefix(f"{place}/") for line in error.problems]
    return []


def line_of(text: str, part: str) -> int:
    """On which line ``part`` stands."""
    return text[: text.index(part)].count("\n") + 1


# What stands in the good recipe, what stands there instead, the key and the reason.

WRONG = (
    ('title = "Desk"', "titel = 1", "titel", "unknown key"),
    ('title = "Desk"', "title = 7", "title", "must be a valid string"),
    ('category = "saas"', 'category = "desk"', "category", "must be 'identity', 'saas'"),
    ("calls = 8", "calls = 2026-01-01", "calls", "a date is no value"),
    ("calls = 8", "calls = true", "calls", "must be a valid integer"),
    ("https://desk", "http://desk", "address", "use https://"),
    ("https://desk", "https://u:p@desk", "address", "looks like a secret"),
    ("[options.token]", "[options.Token]", "options.Token", "small letters"),
    ('kind = "secret"', 'kind = "password"', "options.token.kind", "must be 'text', 'secret'"),
    ('summary = "API token"', 'summary = "x"\ndefault = "y"', "options.token.default", "no def"),
    ("[options.session_bound_s]", "[options.ref]", "options.ref", "this name is taken"),
    ('secret = "token"', 'secret = "session_bound_s"', "auth.secret", "must be of kind secret"),
    ('secret = "token"', 'secret = "key"', "auth.secret", "there is no option key"),
    ('kind = "bearer"', 'kind = "magic"', "auth", "kind must be one of 'bearer'"),
    ('secret = "token"', f'secret = "token"\ntoken = "{SECRET}"', "auth.token", "unknown key"),
    ("[200]", "[500]", "wire.accepted.0", "less than or equal to 299"),
    ('"GET /people/{id}",', '"POST /people/{id}",', "record.get.call", "reads with GET only"),
    ('"GET /people/{id}",', '"GET /people",', "record.get", "put {id} into the path"),
    ('"GET /people/{id}",', '"GET /people/{person}",', "record.get.call", "nothing fills {person}"),
    ('"GET /people/{id}",', '"GET /people/{id!r}",', "record.get.call", "no expressions"),
    ('"GET /people/{id}",', '"GET /p?id={id}",', "record.get.call", "a query belongs in params"),
    ('"GET /people/{id}",', '"GET /{token}/{id}",', "record.get.call", "is a secret"),
    ('keys = { email = "email" }', "keys = {}", "record.keys", "must not be empty"),
    ('keys = { email = "email" }', 'keys = { mail = "email" }', "record.keys.mail", "must be"),
    ('keys = { email = "email" }', 'keys = { email = "a..b" }', "record.keys.email", "not be"),
    ('compared = { email = "email" }', "compared = {}", "find.compared", "nobody can be found"),
    ('compared = { email = "email" }', 'compared = { email = "mail" }', "find.compared.email", ""),
    ('empty = "listed"', 'empty = "proved"', "find.empty", "must be 'listed' or 'unproved'"),
    ('params = { email = "{value}" }', "", "search", "put {value} into"),
    ('params = { email = "{value}" }', 'params = { email = "{ref}" }', "search.params.email", ""),
    ('kind = "cursor"', 'kind = "guess"', "everybody.page", "kind must be one of 'cursor'"),
    ("shut = true", "shut = 1.5", "sign_in.doors.0.shut", "must be a valid"),
    ('[{ at = "blocked", shut = true }]', "[]", "sign_in.doors", "must not be empty"),
    ('"POST /people/{id}/block"', '"GET /people/{id}/block"', "sign_in.block.call", "closes no"),
    ('"POST /people/{id}/block"', '"POST /people/block"', "sign_in.block", "name the account"),
    ('kind = "secret"\ncall', 'kind = "sign_in"\ncall', "holdings.keys.kind", "is [sign_in]"),
    ('close = { call = "DELETE /keys/{ref}", needs = "keys.admin" }', "", "holdings.keys", "close"),
    ('call = "GET /people/{id}/keys"\n', "", "holdings.keys", "call is missing"),
    ("DELETE /keys/{ref}", "DELETE /keys", "holdings.keys.close", "put {ref} into"),
    ('"GET /people/{id}/keys"', '"GET /keys"', "holdings.keys", "whose an entry is"),
    ('bound = "session_bound_s"', 'bound = "token"', "residuals.0.bound", "option of kind bound"),
    ('bound = "session_bound_s"', "bound = -1", "residuals.0.bound", "0 or more"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("good", "bad", "key", "reason"), WRONG, ids=[f"{key}: {why}" for _, _, key, why in WRONG]
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, good, bad, key, reason):
    """One wrong thing makes one problem, which names file, line, key and reason."""
    assert good in GOOD
    text = GOOD.replace(good, bad, 1)
    problems = told(tmp_path, text)

    matching = [one for one in problems if f": {key}: " in one and reason in one]
    assert matching, problems
    start = line_of(GOOD, good)
    here = set(range(start, start + bad.count("\n") + 2))
    # What a whole table lacks is told at its beginning.
    here |= {line_of(text, f"\n[{key}]") + 1} if f"\n[{key}]" in text else set()
    assert int(matching[0].split(":")[1]) in here


def test_everything_is_told_at_once(tmp_path):
    """Problems of several tables come together, in the order of their lines."""
    text = GOOD.replace('title = "Desk"', "titel = 1").replace("DELETE /keys", "GET /keys")
    text = text.replace('empty = "listed"', "empty = 1").replace("{id}/block", "block")
    problems = told(tmp_path, text)
    numbers = [int(one.split(":")[1]) for one in problems]

    keys = {one.split(": ")[1] for one in problems}
    assert keys == {
        "the file", "titel", "find.empty", "sign_in.block", "holdings.keys.close.call",
    }  # fmt: skip
    assert numbers == sorted(numbers)


def test_a_filter_that_may_not_be_heeded_needs_an_owner(tmp_path):
    """Things that are listed by a filter must say whose they are, or strangers' are closed."""
    bare = GOOD.replace('owner = "person" ', "").replace(
        '"GET /people/{id}/keys"\nneeds', '"GET /keys"\nparams = { person = "{id}" }\nneeds'
    )

    (problem,) = told(tmp_path, bare)
    assert ": holdings.keys: owner: " in problem
    assert (
        told(tmp_path, bare.replace("[holdings.keys]", '[holdings.keys]\nowner = "person"')) == []
    )


@pytest.mark.parametrize(
    "line",
    [
        f'headers = "Bearer {SECRET}"',
        f'proves = "{SECRET}"',
        'params = { api_key = "hunter2hunter2" }',
        'body = { auth = { password = "hunter2hunter2" } }',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path, line):
    """A recipe is kept beside other files: no credential may stand in it, and none is quoted."""
    text = GOOD.replace('call = "GET /people"\n', f'call = "GET /people"\n{line}\n', 1)
    shown = "\n".join(told(tmp_path, text))

    assert shown
    assert SECRET not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("address", ["http://desk.example.com/api", "ftp://desk.example.com"])
def test_an_address_in_clear_is_refused(tmp_path, address):
    """A credential travels encrypted, or to this very machine."""
    good = "https://desk.example.com/api"
    assert good in GOOD
    [problem] = told(tmp_path, GOOD.replace(good, address, 1))

    assert "address" in problem
    assert "https://" in problem


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "\x00"])
def test_what_is_no_toml_is_told_with_its_place(tmp_path, text):
    """A slip of syntax names the line too."""
    (problem,) = told(tmp_path, text)

    assert "is no TOML" in problem


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    """No such file, or one that is no text."""
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="no text in UTF-8"):
        read_recipe(tmp_path / "raw.toml")


def test_a_system_takes_the_options_of_its_recipe():
    """The manifest of one system is that of its file: title, options, calls, residuals."""
    manifest = manifest_for({"recipe": str(FILE)})

    assert manifest.title == "Desk"
    assert [row.name for row in manifest.options] == [
        "recipe", "base_url", "token", "session_bound_s",
    ]  # fmt: skip
    assert manifest.calls == 8
    assert dict(manifest.residual_s) == {"session": None}


def test_no_recipe_is_a_problem_of_the_option():
    """A system without a file says so, and so does an option that its recipe does not know."""
    with pytest.raises(ValueError, match="recipe: missing"):
        manifest_for({})
    given = ConnectorOptions("desk", {"recipe": str(FILE), "colour": "blue"}, {"token": "t"})
    with pytest.raises(ValueError, match="colour"):
        MANIFEST.build(given)


DOCUMENT = '''# a comment with [brackets] and = signs
a = 1
"b c".d = "x # y"
e = """
[not.a.table]
f = 1
""" # after
g = [ # in a list
  "]", { h = [1,
    2], i.j = 'k' },
]

[m."n.o"]
p = 2026-01-01T00:00:00Z
[[q]]
r = 1
[[q]]
r = 2
[q.s]
t = ''
'''


def test_lines_are_found_whatever_stands_between():
    """Comments, brackets in texts, long texts, dotted and quoted keys, tables in lists."""
    tomllib.loads(DOCUMENT)
    rows = Lines(DOCUMENT).rows
    wanted = {
        ("a",): 2, ("b c", "d"): 3, ("e",): 4, ("g",): 8, ("g", 0): 9, ("g", 1, "h"): 9,
        ("g", 1, "h", 1): 10, ("g", 1, "i", "j"): 10, ("m", "n.o"): 13, ("m", "n.o", "p"): 14,
        ("q", 0, "r"): 16, ("q", 1, "r"): 18, ("q", 1, "s", "t"): 20,
    }  # fmt: skip

    assert {place: rows[place] for place in wanted} == wanted
    assert ("f",) not in rows
    assert ("not",) not in rows
