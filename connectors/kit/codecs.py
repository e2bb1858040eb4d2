"""How bodies are written and read: JSON for most vendors, forms and XML for older protocols."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to write a request's body and to read an answer's.

    Args:
        content_type: of what is sent.
        write: makes a body's bytes.
        read: parses an answer; raises ``ValueError`` for a page that is not the vendor's.
    """

    content_type: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


JSON: Final = Codec("application/json", lambda body: json.dumps(body).encode(), json.loads)


def form_fields(body: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Fields by their path; entries of a list are numbered from 1: ``Filter.member.1=User``."""
    match body:
        case dict():
            for key, inner in body.items():
                yield from form_fields(inner, f"{name}.{key}" if name else key)
        case list():
            for number, inner in enumerate(body, 1):
                yield from form_fields(inner, f"{name}.member.{number}")
        case _:
            yield name, str(body)


FORM: Final = Codec(
    "application/x-www-form-urlencoded; charset=utf-8",
    lambda body: urlencode(list(form_fields(body))).encode(),
    json.loads,
)


def read_xml(raw: bytes, *, listed: str) -> tuple[str, Any]:
    """The root's name and what is in it, as JSON would say it, without namespaces.

    Args:
        raw: the page.
        listed: the name that every entry of a list bears.

    Raises:
        ValueError: for a page that is no XML.
    """
    try:
        root = ET.fromstring(raw)  # noqa: S314 - expat bounds entities, and only a vendor is asked
    except ET.ParseError:
        raise ValueError("no XML") from None
    return _tag(root), _value(root, listed)


def _value(node: ET.Element, listed: str) -> Any:
    """Text, fields by name, or a list; an empty element is an empty list, which no text is."""
    if not len(node):
        return (node.text or "").strip() or []
    if all(_tag(one) == listed for one in node):
        return [_value(one, listed) for one in node]
    return {_tag(one): _value(one, listed) for one in node}


def _tag(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]
