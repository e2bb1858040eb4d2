"""Okta's filter expressions: terms such as `profile.email eq "x"`, with `and`, `or`, parentheses.

Source: the descriptions of `search` and `filter` of `GET /api/v1/users` in Okta's management
specification (okta/okta-management-openapi-spec). `search` compares strings without regard to
case, `filter` with; names are case sensitive in both.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ExpressionError", "Term", "matcher", "parse", "terms"]

_TOKEN: Final = re.compile(r'\s*(?:(\(|\))|"((?:[^"\\]|\\.)*)"|([^\s()"]+))')
_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "eq": lambda have, want: have == want,
    "ne": lambda have, want: have != want,
    "sw": lambda have, want: have.startswith(want),
    "co": lambda have, want: want in have,
    "gt": lambda have, want: have > want,
    "ge": lambda have, want: have >= want,
    "lt": lambda have, want: have < want,
    "le": lambda have, want: have <= want,
}


class ExpressionError(ValueError):
    """The expression is not one that this simulation understands."""


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison."""

    name: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Expressions that must all hold (`and`) or of which one must (`or`)."""

    operator: str
    inner: "tuple[Expression, ...]"


Expression = Term | Joined


class _Tokens:
    """The tokens of an expression, with one look ahead."""

    def __init__(self, text: str) -> None:
        self._all: list[tuple[str, str]] = []
        place, text = 0, text.strip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ExpressionError(f"unreadable at {place}")
            bracket, quoted, word = found.groups()
            if quoted is not None:
                self._all.append(("value", re.sub(r"\\(.)", r"\1", quoted)))
            else:
                self._all.append(("bracket", bracket) if bracket else ("word", word))
            place = found.end()

    def peek(self) -> tuple[str, str]:
        return self._all[0] if self._all else ("end", "")

    def take(self, kind: str) -> str:
        if self.peek()[0] != kind:
            raise ExpressionError(f"expected {kind}, found {self.peek()[1] or 'the end'}")
        return self._all.pop(0)[1]


def parse(text: str) -> Expression:
    """Read an expression; `and` binds tighter than `or`.

    Raises:
        ExpressionError: when it cannot be read.
    """
    tokens = _Tokens(text)
    expression = _joined(tokens, "or")
    if tokens.peek()[0] != "end":
        raise ExpressionError(f"unexpected {tokens.peek()[1]}")
    return expression


def _joined(tokens: _Tokens, operator: str) -> Expression:
    inner = [_operand(tokens, operator)]
    while tokens.peek()[0] == "word" and tokens.peek()[1].lower() == operator:
        tokens.take("word")
        inner.append(_operand(tokens, operator))
    return inner[0] if len(inner) == 1 else Joined(operator, tuple(inner))


def _operand(tokens: _Tokens, operator: str) -> Expression:
    return _joined(tokens, "and") if operator == "or" else _single(tokens)


def _single(tokens: _Tokens) -> Expression:
    if tokens.peek() == ("bracket", "("):
        tokens.take("bracket")
        inner = _joined(tokens, "or")
        if tokens.take("bracket") != ")":
            raise ExpressionError("expected )")
        return inner
    name, operator = tokens.take("word"), tokens.take("word").lower()
    if operator == "pr":
        return Term(name, operator, "")
    if operator not in _COMPARE:
        raise ExpressionError(f"unknown operator {operator}")
    value = tokens.take("value" if tokens.peek()[0] == "value" else "word")
    return Term(name, operator, value)


def terms(expression: Expression) -> Iterator[Term]:
    """Every comparison in an expression."""
    if isinstance(expression, Term):
        yield expression
    else:
        for inner in expression.inner:
            yield from terms(inner)


def matcher(expression: Expression, *, fold_case: bool) -> Callable[[dict[str, Any]], bool]:
    """Compile an expression to a test of a JSON document."""
    if isinstance(expression, Joined):
        inner = [matcher(part, fold_case=fold_case) for part in expression.inner]
        join = all if expression.operator == "and" else any
        return lambda document: join(test(document) for test in inner)
    path = expression.name.split(".")
    if expression.operator == "pr":
        return lambda document: any(_reach(document, path))
    compare = _COMPARE[expression.operator]
    want = expression.value.lower() if fold_case else expression.value

    def holds(document: dict[str, Any]) -> bool:
        found = (str(value) for value in _reach(document, path))
        return any(compare(value.lower() if fold_case else value, want) for value in found)

    return holds


def _reach(value: Any, path: list[str]) -> Iterable[Any]:
    """The values at a path; a list on the way stands for each of its items (`target.id`)."""
    if isinstance(value, list):
        for item in value:
            yield from _reach(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _reach(value.get(path[0]), path[1:])
