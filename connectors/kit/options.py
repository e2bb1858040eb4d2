"""The options of a system as typed rows: described, parsed and checked in one place.

A row is an `OptionSpec`, so that ``lockstep init``, the settings and the docs show it, and knows
how its value is read. `read_options` reads all of them once, before the first call. What is wrong
is said after the option's name, and no value is quoted: it may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar, cast

from connectors.base import ConnectorOptions, OptionSpec
from connectors.http import require_safe_url

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

UNKNOWN: Final = "unknown"
"""What a bound says, and is by default, where the vendor states none."""

_WORDS: Final[Mapping[str, bool]] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(OptionSpec, Generic[T_co]):
    """One row: ``parse`` reads a value that was given, or the default.

    ``absent`` is the result where there is neither.
    """

    parse: Callable[[object], T_co]
    absent: T_co

    def read(self, given: ConnectorOptions) -> T_co:
        """The value.

        Raises:
            ValueError: beginning with the option's name.
        """
        source: Mapping[str, object] = given.secrets if self.secret else given.settings
        value = source.get(self.name)
        value = self.default if value is None else value
        if value is None or value == "":
            if self.required:
                raise ValueError(f"{self.name}: missing: {self.summary}")
            if value is None:
                return self.absent
        try:
            return self.parse(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None


class Values:
    """What the options of one system say, by row; never shown, because some are secrets."""

    def __init__(self, values: Mapping[str, object], secrets: Sequence[str]) -> None:
        self._values = dict(values)
        self.secrets: Final = tuple(secrets)
        """Every secret that was given: it must show nowhere."""

    def __getitem__(self, option: Option[T]) -> T:
        return cast("T", self._values[option.name])

    def named(self, name: str) -> object:
        """The value of the option of this name, for tables that name their options."""
        return self._values[name]

    def given(self, *options: Option[str]) -> tuple[str, ...]:
        """Names of those that are not empty."""
        return tuple(option.name for option in options if self[option])


def read_options(rows: Sequence[OptionSpec], given: ConnectorOptions, *, kind: str) -> Values:
    """Check every option of one system.

    Args:
        rows: all that the connector takes.
        given: by the settings.
        kind: the connector's name.

    Raises:
        ValueError: beginning with the name of the option that is unknown, missing or wrong.
    """
    known = {row.name for row in rows if not row.secret}
    if unknown := sorted(set(given.settings) - known):
        raise ValueError(f"{unknown[0]}: the {kind} connector has no such option")
    typed = [row for row in rows if isinstance(row, Option)]
    values = {row.name: row.read(given) for row in typed}
    secrets = [value for value in given.secrets.values() if value]
    return Values(values, secrets)


def text(
    name: str,
    summary: str,
    *,
    default: str | None = None,
    required: bool = False,
    check: Callable[[str], str] = str,
    empty: str = "",
) -> Option[str]:
    """Any text, ``empty`` for an empty one.

    ``check`` returns the text, or raises ``ValueError`` saying what is expected.
    """

    def parse(value: object) -> str:
        return check(_text(value)) if value != "" else empty

    return Option(name, summary, required, default=default, parse=parse, absent="")


def secret(
    name: str, summary: str, *, required: bool = False, check: Callable[[str], str] = str
) -> Option[str]:
    """A credential: given as a reference, never shown; ``check`` as in `text`."""

    def parse(value: object) -> str:
        return check(_text(value))

    return Option(name, summary, required, secret=True, parse=parse, absent="")


def address(name: str, summary: str, *, default: str | None = None) -> Option[str]:
    """An address that a credential may be sent to, without a slash at its end."""

    def parse(value: object) -> str:
        return _address(value or default)

    return Option(name, summary, default is None, default=default, parse=parse, absent="")


def optional_address(name: str, summary: str) -> Option[str]:
    """Such an address, or none."""

    def parse(value: object) -> str:
        return _address(value) if value != "" else ""

    return Option(name, summary, required=False, parse=parse, absent="")


def choice(
    name: str, summary: str, choices: Sequence[str], *, default: str | None = None
) -> Option[str]:
    """One of a few words; the first unless another is the default."""
    words = tuple(str(word) for word in choices)

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    chosen = str(default or words[0])
    return Option(
        name, summary, required=False, default=chosen, choices=words, parse=parse, absent=chosen
    )


def one_of(name: str, summary: str, words: type[E]) -> Option[E]:
    """One of the words of an enumeration; the first is the default."""
    row = choice(name, summary, tuple(words))
    return Option(
        name,
        summary,
        required=False,
        default=row.default,
        choices=row.choices,
        parse=lambda value: words(row.parse(value)),
        absent=words(row.absent),
    )


def flag(name: str, summary: str, *, default: bool) -> Option[bool]:
    """True or false, also as a word."""

    def parse(value: object) -> bool:
        said = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
        if said is None:
            raise ValueError("true or false")
        return said

    return Option(name, summary, required=False, default=default, parse=parse, absent=default)


def whole(
    name: str,
    summary: str,
    *,
    default: int | str,
    least: int = 0,
    most: int | None = None,
    of: str = "a whole number",
) -> Option[int]:
    """A whole number, also as text; ``of`` says in errors what it counts."""
    span = f", from {least} to {most}" if most is not None else f", {least} or more"

    def parse(value: object) -> int:
        number = _whole(value)
        if number is None or number < least or (most is not None and number > most):
            raise ValueError(of + span)
        return number

    return Option(name, summary, required=False, default=default, parse=parse, absent=int(default))


def seconds(
    name: str, summary: str, *, default: int, least: int = 0, most: int | None = None
) -> Option[int]:
    """Whole seconds."""
    return whole(name, summary, default=default, least=least, most=most, of="whole seconds")


def bound(name: str, summary: str) -> Option[int | None]:
    """How long something outlives a revocation, in seconds; None where nobody has stated it."""

    def parse(value: object) -> int | None:
        if value in {"", UNKNOWN}:
            return None
        stated = _whole(value)
        if stated is None:
            raise ValueError(f"whole seconds, 0 or more, or {UNKNOWN}")
        return stated

    return Option(name, summary, required=False, default=UNKNOWN, parse=parse, absent=None)


def listing(name: str, summary: str, *, default: Sequence[str] = ()) -> Option[tuple[str, ...]]:
    """Texts, none of them empty; one alone may stand without brackets."""

    def parse(value: object) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(
            isinstance(item, str) and item for item in items
        ):
            raise ValueError("a list of texts")
        return tuple(items)

    shown = list(default) or None
    return Option(name, summary, required=False, default=shown, parse=parse, absent=tuple(default))


def _address(value: object) -> str:
    try:
        return require_safe_url(_text(value), option="")
    except ValueError as error:
        raise ValueError(str(error).removeprefix(": ")) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004 - the contract of options says ValueError
    return value


def _whole(value: object) -> int | None:
    """A number of 0 or more; None for anything else, booleans and other digits too."""
    written = str(value).strip()
    is_number = isinstance(value, int | str) and written.isascii() and written.isdigit()
    return int(written) if is_number else None
