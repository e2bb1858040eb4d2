"""`lockstep connect`: ask for what a system needs, try it out, and write it into the settings."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from connectors.base import ConnectorManifest, OptionSpec
from connectors.registry import MANIFESTS, MANUAL
from lockstep.cli.context import UNUSABLE, ConfigOption, die, err, out, run
from lockstep.cli.runtime.checks import Check, print_checks
from lockstep.cli.runtime.doctor_systems import system_checks
from lockstep.cli.runtime.init import write_private
from lockstep.domain.systems.access import Category
from lockstep.settings import SettingsError, load_settings
from lockstep.settings.loading import settings_file
from lockstep.settings.tables import SYSTEM_ID, secret_reference
from lockstep.settings.writing import beside, with_system

_LATER = frozenset({Category.SAAS, Category.BADGE})
"""Kinds of doors that are tier 1 where nobody says; every other one is tier 0."""


def connect(
    name: Annotated[str, typer.Argument(help="Name of the system, such as desk-prod.")],
    kind: Annotated[
        str,
        typer.Option("--connector", help="Its connector; `lockstep connectors` lists them."),
    ] = "",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option; not asked for then."),
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="OPTION=REF",
            help="A secret by env:NAME or file:PATH, or - (stdin).",
        ),
    ] = None,
    tier: Annotated[str, typer.Option(help="0 or 1 \\[default: by its kind of door].")] = "",
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Write it although a check fails.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Connect a system, or change one: asks, tries it as `doctor` does, and writes lockstep.toml.

    A secret that is typed goes into a file of its own that only you can read. Nothing is written
    unless the system answers. Exit 0 written, 1 a check failed, 2 it could not begin.
    """
    path = settings_file(config).resolve()  # a link stays one
    try:
        text = path.read_text("utf-8")
        there = tomllib.loads(text).get("systems", {}).get(name, {})
    except FileNotFoundError:
        die(f"{path}: there is no settings file: write one with `lockstep init`", code=UNUSABLE)
    except (OSError, ValueError) as error:
        die(f"{path}: cannot be read: {error}", code=UNUSABLE)
    if not SYSTEM_ID.fullmatch(name):
        die(f"{name}: small letters, digits and -, 40 at most", code=UNUSABLE)
    kind = _kind(name, kind, there)
    given = {**_pairs("--set", sets), **_pairs("--secret", secrets)}
    form = Form(name, kind, path.parent, there, given)
    try:
        with _tried(path, text, form, tier) as checks:
            print_checks(checks)
            if any(check.level == "problem" for check in checks) and not unchecked:
                die(f"{path}: nothing was written; --unchecked writes it all the same")
    except SettingsError as error:
        die(f"{error}\n{path}: nothing was written", code=UNUSABLE)
    _say_done(path, form)


@dataclass(slots=True)
class Form:
    """What is known of one system so far, and how the rest is asked for.

    Args:
        name: of the system.
        kind: of its connector.
        home: the folder of the settings file.
        there: what the file says of it already.
        given: options of the command line, secrets among them.
        answers: what is to be written.
        files: secrets that were typed, by the new file that is to hold each.
        left: optional options that nobody has set.
    """

    name: str
    kind: str
    home: Path
    there: Mapping[str, object]
    given: dict[str, str]
    answers: dict[str, object] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict, repr=False)
    left: list[OptionSpec] = field(default_factory=list)

    def fill(self) -> ConnectorManifest | None:
        """Ask for everything that is missing.

        Raises:
            SettingsError: for an option that there is not, and a file that says nothing usable.
        """
        if self.kind == MANUAL:
            self._refuse_unknown(())
            return None
        manifest = MANIFESTS[self.kind]
        out.print(f"{manifest.title}: {self.name}", markup=False)
        for needed in manifest.permissions:
            out.print(f"  needs {needed}", markup=False, soft_wrap=True)
        self._ask(manifest.options)
        if manifest.of is not None:  # a file of the operator's says what else there is
            try:
                manifest = manifest.of(self._placed(manifest.options))
            except ValueError as error:
                lines = [f"systems.{self.name}: {line}" for line in str(error).splitlines()]
                raise SettingsError(lines) from None
            self._ask(manifest.options)
        self._refuse_unknown(manifest.options)
        self.left = [spec for spec in manifest.options if not self._is_said(spec)]
        return manifest

    def _ask(self, options: Sequence[OptionSpec]) -> None:
        for spec in options:
            if spec.name in self.answers:
                continue
            if (text := self.given.get(spec.name)) is not None:
                self.answers[spec.name] = self._secret(spec, text) if spec.secret else _value(text)
            elif spec.required and spec.name not in self.there and spec.default is None:
                self.answers[spec.name] = self._asked(spec)

    def _asked(self, spec: OptionSpec) -> object:
        label = f"{spec.name} ({spec.summary})"
        if spec.choices:
            label += f" [{', '.join(spec.choices)}]"
        while not (text := _line(label, hidden=spec.secret).strip()):
            err.print("It is needed.")
        return self._kept(spec, text) if spec.secret else _value(text)

    def _secret(self, spec: OptionSpec, text: str) -> str:
        if text == "-":
            return self._kept(spec, _line(spec.name, hidden=True).strip())
        try:
            return secret_reference(text)
        except ValueError as error:
            raise SettingsError([f"--secret {spec.name}: {error}; or - to type it"]) from None

    def _kept(self, spec: OptionSpec, value: str) -> str:
        """A reference to the new file that is to hold a secret; no file is written over."""
        if not value:
            raise SettingsError([f"systems.{self.name}.{spec.name}: no secret was given"])
        stem, count = f".lockstep/{self.name}.{spec.name}", 1
        while (self.home / (place := f"{stem}{count if count > 1 else ''}.secret")).exists():
            count += 1
        self.files[self.home / place] = value
        return f"file:{place}"

    def _placed(self, options: Sequence[OptionSpec]) -> dict[str, object]:
        said = {**self.there, **self.answers}
        paths = {spec.name for spec in options if spec.is_path}
        return {k: str(self.home / str(v)) if k in paths else v for k, v in said.items()}

    def _is_said(self, spec: OptionSpec) -> bool:
        return spec.name in self.there or spec.name in self.answers

    def _refuse_unknown(self, options: Sequence[OptionSpec]) -> None:
        if unknown := sorted(set(self.given) - {spec.name for spec in options}):
            known = ", ".join(spec.name for spec in options) or "none"
            raise SettingsError(
                [f"systems.{self.name}: no such option: {', '.join(unknown)}; there are {known}"]
            )


@contextmanager
def _tried(path: Path, text: str, form: Form, tier: str) -> Iterator[list[Check]]:
    """What the checks say of the file as it is to be; it takes its place unless that raises."""
    manifest = form.fill()
    table: dict[str, object] = {"connector": form.kind} if not form.there else {}
    if tier or (manifest and not form.there):
        late = manifest is not None and manifest.category in _LATER
        table["tier"] = int(tier) if tier.isdecimal() else tier or int(late)
    candidate, made = None, list[Path]()
    try:
        for place, secret in form.files.items():
            place.parent.mkdir(mode=0o711, exist_ok=True)
            write_private(place, secret + "\n")
            made.append(place)
        candidate = beside(path, with_system(text, form.name, table | form.answers))
        err.print(f"Asking {form.name} …", markup=False)
        yield run(system_checks(load_settings(candidate), form.name, None))
        if path.read_text("utf-8") != text:  # asking takes minutes
            raise SettingsError([f"{path}: somebody changed it meanwhile: begin again"])
        candidate.replace(path)
        candidate, made = None, []
    finally:
        for left in [*made, *([candidate] if candidate else [])]:
            left.unlink(missing_ok=True)


def _kind(name: str, kind: str, there: Mapping[str, object]) -> str:
    known = [*MANIFESTS, MANUAL]
    if there:
        stands = str(there.get("connector", ""))
        if kind and kind != stands:
            die(f"{name}: is a system of {stands} already: choose another name", code=UNUSABLE)
        return stands
    if not kind:
        likely = max((each for each in known if name.startswith(each)), key=len, default="")
        kind = _line(f"connector{f' [{likely}]' if likely else ''}").strip() or likely
    if kind not in known:
        die(f"{kind or 'connector'}: there is none named so; known are {', '.join(sorted(known))}",
            code=UNUSABLE)  # fmt: skip
    return kind


def _pairs(option: str, words: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            die(f"{option}: write OPTION=VALUE", code=UNUSABLE)  # never shown: it may be a secret
        found[key] = value
    return found


def _value(text: str) -> object:
    """Lists, tables, true and false as in the file; everything else is text."""
    if text[:1] in {"[", "{"} or text in {"true", "false"}:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise SettingsError([f"{text}: no TOML: {error}"]) from None
    return text


def _line(label: str, *, hidden: bool = False) -> str:
    """An answer out of the terminal, or of a script's standard input."""
    if hidden and sys.stdin.isatty():
        return getpass(f"{label}: ", stream=sys.stderr)
    err.print(f"{label}: ", end="", markup=False)
    answer = sys.stdin.readline()
    if not answer:
        err.print()
        die(f"{label}: nobody answers: give it by --set, --secret or --connector", code=UNUSABLE)
    return answer


def _say_done(path: Path, form: Form) -> None:
    out.print(f"Wrote [systems.{form.name}] into {path}.", markup=False, soft_wrap=True)
    for place in form.files:
        out.print(f"Its secret is in {place}: back it up.", markup=False, soft_wrap=True)
    for spec in form.left:
        out.print(f"Not set: {spec.name}: {spec.summary}", markup=False, soft_wrap=True)
    out.print("Processes read the settings when they start: start `lockstep up`, or worker and web,"
              " anew.", soft_wrap=True)  # fmt: skip
