"""The description tells everything, nothing is dropped to fit it, and who checks by it can fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from lockstep.control.score.outside import outside
from lockstep.control.score.questions import Question
from lockstep.domain.rights import Permission
from tests.support.asking import asking
from tests.support.scoring import facts, sign_head, store
from tests.web.console.conftest import site, site_settings  # noqa: F401 - fixtures
from tests.web.openapi_description import Description, NonconformingError
from tests.web.test_openapi_fuzz import ROOT


async def test_what_is_sent_is_what_was_made(engine, ring):
    """No model stands between: a field that nobody described is sent, and fails the check."""
    await store(engine, [facts("", case_id=f"caaaaaaaaaaa{n + 2}") for n in range(3)])
    await sign_head(engine, 3)
    async with asking(engine, ring) as api:
        made = await api.service.current(Question(in_full=True))
        sent = await api.get("/api/score")
        made["score"]["added_later"] = 1
        with_more = await api.get("/api/score")
        trend = (await api.get("/api/score/trend")).json()
        dimension = (await api.get("/api/dimension")).json()
    description = Description(api.app.openapi())

    assert with_more.json() == outside(made)
    assert sent.json().keys() == made.keys()
    assert (trend, dimension) == (made["trend"], made["dimension"])
    description.check("GET", "/api/score", sent)
    with pytest.raises(NonconformingError, match="added_later"):
        description.check("GET", "/api/score", with_more)


async def test_the_check_fails_where_it_must(engine, ring):
    """A field too many, one too few, null, a word that is not in the set, another form."""
    report = {"value": "19.27", "as_of": "2026-11-01", "source": "lms"}
    path, known_by = "/api/metrics/security_training", "/api/metrics/{metric}"
    async with asking(engine, ring) as api:
        answer = await api.ask("PUT", path, right=Permission.REPORT, json=report)
    description = Description(api.app.openapi())
    right = answer.json()
    wrong = {
        "surprise": {**right, "surprise": 1},
        "'value' is a required": {key: right[key] for key in right if key != "value"},
        "/source": {**right, "source": None},
        "/metric": {**right, "metric": "punctuality"},
        "/recorded_at": {**right, "recorded_at": "2026-11-23T05:04:03Z"},
        "/report": {**right, "report": "../../etc"},
    }

    description.check("PUT", known_by, answer)
    for told, body in wrong.items():
        with pytest.raises(NonconformingError, match=told):
            description.check("PUT", known_by, like(answer, body))
    with pytest.raises(NonconformingError, match="not described"):
        description.check("PUT", known_by, like(answer, right, status=206))
    with pytest.raises(NonconformingError, match="Retry-After: is missing"):
        description.check("PUT", known_by, like(answer, {"error": "no_answer"}, status=503))


def like(answer: httpx.Response, body: object, *, status: int = 201) -> httpx.Response:
    """The same answer with another body."""
    headers = {"content-type": answer.headers["content-type"]}
    return httpx.Response(status, content=json.dumps(body), headers=headers)


async def test_every_answer_is_described_to_its_leaves(site):  # noqa: F811
    """Objects are closed, or maps of one kind; nothing may be just anything."""
    description = Description(site.app.openapi())
    parts = description.document["components"]["schemas"]
    contents = {where: answer.get("content") for where, answer in description.answers()}
    schemas = [
        content["application/json"]["schema"]
        for content in contents.values()
        if content and "application/json" in content
    ]
    vague = {problem for schema in schemas for problem in _vague(schema, parts, "")}

    assert not [where for where, content in contents.items() if not content]
    assert not vague, "\n".join(sorted(vague))
    for schema in parts.values():
        Draft202012Validator.check_schema(schema)


def test_the_integrators_page_knows_every_word_of_a_refusal():
    """docs/api.md lists them: a new one is told there, or this fails."""
    page = (ROOT / "docs" / "api.md").read_text()
    words = {
        word
        for source in (ROOT / "lockstep" / "web" / "api").glob("*.py")
        for word in re.findall(r'Problem\(\s*\d{3},\s*"([a-z0-9_]+)"', source.read_text())
    }

    assert len(words) > 15
    assert not {word for word in words if f"`{word}`" not in page}


def _vague(schema: Mapping[str, Any], parts: Mapping[str, Any], name: str) -> Iterator[str]:
    """Where a schema takes more than it says."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _vague(parts[name], parts, name)
        return
    for each in schema.get("anyOf", ()):
        yield from _vague(each, parts, name)
    match schema.get("type"):
        case "object":
            more = schema.get("additionalProperties", True)
            if more is True:
                yield f"{name}: open"
            elif isinstance(more, Mapping):
                yield from _vague(more, parts, f"{name}.*")
            for key, value in schema.get("properties", {}).items():
                yield from _vague(value, parts, f"{name}.{key}")
        case "array":
            yield from _vague(schema["items"], parts, f"{name}[]")
        case None if not {"anyOf", "enum", "const"} & set(schema):
            yield f"{name}: anything"
        case _:
            pass
