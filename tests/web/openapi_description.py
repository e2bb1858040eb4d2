"""The OpenAPI description as a judge of answers: it takes no field more, and none less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from pydantic import BaseModel

Success = tuple[str, str, int]
"""Method, path as described, status."""


LONG = frozenset({"/api/score", "/api/score/trend", "/api/dimension", "/api/penalties"})
"""Where the scorecard's own document is sent as it is; see `DocumentResponse`."""


class NonconformingError(AssertionError):
    """An answer that is not as described; each line names a place in it."""


@dataclass(frozen=True)
class Description:
    """A document as ``/openapi.json`` serves it (OpenAPI 3.1: schemas are JSON Schema 2020-12)."""

    document: Mapping[str, Any]

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Method, path and Operation Object of each."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def successes(self) -> set[Success]:
        """Every answer of every operation that is wanted."""
        return {
            (method, path, int(status))
            for method, path, operation in self.operations()
            for status in operation["responses"]
            if status.startswith("2")
        }

    def answers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Where each answer is described, and its Response Object."""
        for method, path, operation in self.operations():
            for status, answer in operation["responses"].items():
                yield f"{method} {path} {status}", answer

    def check(self, method: str, path: str, answer: httpx.Response) -> Success:
        """Hold an answer against the description; which answer of it that was.

        Raises:
            NonconformingError: naming everything that is otherwise.
        """
        responses = self.document["paths"][path][method.lower()]["responses"]
        where = f"{method} {path} {answer.status_code}"
        described = responses.get(str(answer.status_code))
        if described is None:
            raise NonconformingError(f"{where}: not described: {answer.text[:500]}")
        problems = [*self._headers(described, answer), *self._body(described, answer)]
        if problems:
            raise NonconformingError("\n".join([f"{where}:", *problems]))
        return method, path, answer.status_code

    def held(self, method: str, path: str, status: int, returned: object) -> None:
        """Hold what a route returned against what it declares; of a file it declares no model.

        ``returned`` is a model, or what was sent without one; None where FastAPI wrote the model.

        Raises:
            NonconformingError: naming what is declared.
        """
        answer = self.document["paths"][path][method.lower()]["responses"][str(status)]
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        refs = [one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
        declared = {ref.rpartition("/")[2] for ref in refs}
        where = f"{method} {path} {status}"
        if isinstance(returned, BaseModel):
            if type(returned).__name__ not in declared:
                raise NonconformingError(f"{where}: {type(returned).__name__}, not {declared}")
        elif returned is not None and path not in LONG:
            raise NonconformingError(f"{where}: a document beside its model {declared}")

    def _headers(self, described: Mapping[str, Any], answer: httpx.Response) -> Iterator[str]:
        for name, header in described.get("headers", {}).items():
            if name in answer.headers:
                yield from self._errors(header["schema"], answer.headers[name], f"header {name}")
            elif header.get("required"):
                yield f"header {name}: is missing"

    def _body(self, described: Mapping[str, Any], answer: httpx.Response) -> Iterator[str]:
        media = answer.headers.get("content-type", "").partition(";")[0]
        content = described.get("content", {})
        if media not in content:
            yield f"content type: {media!r} is not described"
        elif media == "application/json":
            yield from self._errors(content[media]["schema"], answer.json(), "body")

    def _errors(self, schema: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
        judge = Draft202012Validator({**schema, "components": self.document["components"]})
        for error in judge.iter_errors(value):
            place = "/".join(str(part) for part in error.absolute_path)
            yield f"{where} /{place}: {error.message[:500]}"
            for nearer in error.context or ():
                yield f"  or {'/'.join(map(str, nearer.absolute_path))}: {nearer.message[:200]}"
