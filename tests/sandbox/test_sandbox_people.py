"""The made-up people are the same every time, different from each other, and plainly made up."""

import ast
import sys
from pathlib import Path

import sandbox
from sandbox import demo_people, generate


def test_the_same_seed_gives_the_same_people():
    assert generate(50, seed=3) == generate(50, seed=3)
    assert generate(50, seed=3) != generate(50, seed=4)


def test_no_two_people_share_a_key():
    people = generate(2000)
    for name in ("worker_id", "employee_number", "email", "username"):
        assert len({getattr(person, name) for person in people}) == 2000


def test_addresses_are_in_a_reserved_domain():
    assert all(person.email.endswith(".example.com") for person in generate(20))


def test_the_demonstration_has_twelve_people_at_one_site():
    people = demo_people()
    assert len(people) == 12
    assert {(p.partner, p.site) for p in people} == {("Northwind Contact Centers", "Cebu")}


def test_the_sandbox_imports_nothing_of_lockstep():
    allowed = {*sys.stdlib_module_names, "sandbox", "starlette", "uvicorn"}
    for path in Path(sandbox.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, path.name
