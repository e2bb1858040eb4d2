"""What programs send: read once it is known who asks, bounded, and described all the same."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from lockstep.control.intake.events import why_not_valid
from lockstep.web.api.auth import Problem, bounded_body


class Body(BaseModel):
    """A closed object; errors quote nothing of it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


Model = TypeVar("Model", bound=Body)


async def read_body(request: Request, model: type[Model], limit: int = 64 * 1024) -> Model:
    """What was sent, of ``limit`` bytes at most.

    Raises:
        Problem: 413, 415 or 422.
    """
    raw = await bounded_body(request, limit)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False)
        problems = [
            f"{'.'.join(map(str, row['loc'])) or 'body'}: {why_not_valid(row)}" for row in rows
        ]
        raise Problem(422, "not_valid", problems) from None


def described_body(model: type[Body]) -> dict[str, Any]:
    """``openapi_extra`` of a route that reads ``model`` by `read_body`."""
    schema = _schema(model)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@cache
def _schema(model: type[Body]) -> Any:
    """Worked out once: several routes read the same."""
    schema: Any = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, part in schema.pop("$defs", {}).items():
        schema = _inlined(schema, name, part)
    return schema


def _inlined(value: Any, name: str, part: dict[str, Any]) -> Any:
    """The schema without references: its parts are nowhere else described."""
    if isinstance(value, dict):
        if value.get("$ref") == f"#/components/schemas/{name}":
            return part
        return {key: _inlined(item, name, part) for key, item in value.items()}
    if isinstance(value, list):
        return [_inlined(item, name, part) for item in value]
    return value
