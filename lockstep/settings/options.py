"""Reading a table whose keys a connector or an anchor decides, not we."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from connectors.base import OptionSpec
from lockstep.settings.errors import SettingsError
from lockstep.settings.tables import secret_reference


class ResolveSecret(Protocol):
    """Turns ``env:NAME`` or ``file:PATH`` into the secret itself."""

    def __call__(self, reference: str, *, key: str) -> str: ...


def read_options(
    table: str,
    given: Mapping[str, object],
    *,
    options: Sequence[OptionSpec],
    owner: str,
    secret: ResolveSecret,
) -> tuple[dict[str, object], dict[str, str]]:
    """Plain options and resolved secrets of a table whose keys ``owner`` decides.

    Args:
        table: how the file names the table, for what is wrong with it.
        given: the keys and values that stand in it.
        options: what ``owner`` takes.
        owner: the connector or the kind of anchor that decides.
        secret: resolves references, as `Settings.secret` does.

    Raises:
        SettingsError: naming each option that is unknown, missing or wrong.
    """
    problems = []
    specs = {spec.name: spec for spec in options}
    for option in sorted(set(given) - set(specs)):
        known = ", ".join(sorted(specs))
        problems.append(f"{table}.{option}: {owner} has no such option: use {known}")
    plain: dict[str, object] = {}
    secrets: dict[str, str] = {}
    for spec in options:
        key = f"{table}.{spec.name}"
        value = given.get(spec.name, spec.default)
        try:
            if value is None:
                if spec.required:
                    problems.append(f"{key}: missing: {spec.summary}")
            elif spec.secret:
                secrets[spec.name] = secret(secret_reference(str(value)), key=key)
            elif spec.choices and value not in spec.choices:
                problems.append(f"{key}: must be one of {', '.join(spec.choices)}")
            else:
                plain[spec.name] = value
        except SettingsError as error:
            problems.extend(error.problems)
        except ValueError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise SettingsError(problems)
    return plain, secrets
