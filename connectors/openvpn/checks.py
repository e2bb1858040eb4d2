"""What would make a revocation useless: how a server is configured, and its list."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from connectors.base import ConnectorFault
from lockstep.domain.systems.access import Problem, ProblemSeverity
from lockstep.domain.systems.faults import rule_for

SOON: Final = timedelta(days=7)

Directives = Mapping[str, tuple[str, ...]]


def read_config(raw: bytes) -> Directives:
    """The directives of a server's configuration, with their words; the last of a name counts."""
    told: dict[str, tuple[str, ...]] = {}
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            words = shlex.split(line.partition(";")[0], comments=True)
        except ValueError:
            continue
        if words:
            told[words[0].removeprefix("--")] = tuple(words[1:])
    return told


def of_fault(at: str, fault: ConnectorFault) -> Problem:
    """Something that could not be read."""
    return Problem(fault.category.value, f"{at}: {fault}", rule_for(fault.category).suggestion)


def of_list(
    at: str, revocations: x509.CertificateRevocationList, now: datetime
) -> Iterator[Problem]:
    """A list that has ended: the server then refuses everybody."""
    ends = revocations.next_update_utc
    if ends is not None and ends <= now:
        yield Problem(
            "crl_expired",
            f"{at}: the revocation list ended at {ends:%Y-%m-%d %H:%M} UTC:"
            " the server refuses everybody",
            "Have the CA make a new one (easyrsa gen-crl).",
        )
    elif ends is not None and ends - now < SOON:
        yield Problem(
            "crl_expires_soon",
            f"{at}: the revocation list ends at {ends:%Y-%m-%d %H:%M} UTC;"
            " the server then refuses everybody",
            "Have the CA make a new one (easyrsa gen-crl).",
            ProblemSeverity.LIMITS,
        )


def of_config(at: str, told: Directives, *, crl: str, ccd: str, by_list: bool) -> Iterator[Problem]:
    """Whether the server looks where we write."""
    if by_list:
        yield from _list_is_read(at, told, crl)
    elif not _same(told.get("client-config-dir"), ccd):
        yield Problem(
            "ccd_not_used",
            f"{at}: client-config-dir is not the folder that `ccd` names:"
            " a block there blocks nobody",
            "Set client-config-dir in the server's configuration, or mend `ccd`.",
        )
    if told.get("verify-client-cert", ("require",))[:1] != ("require",):
        yield Problem(
            "certificates_not_required",
            f"{at}: verify-client-cert lets people in without a certificate",
            "Close their accounts where the server looks them up, as a system of its own.",
        )
    if "username-as-common-name" in told:
        yield Problem(
            "sessions_by_username",
            f"{at}: sessions are named by user name, not by the certificate's common name",
            "Take username-as-common-name out, or let common names be the user names.",
            ProblemSeverity.LIMITS,
        )
    if "capath" in told:
        yield Problem(
            "missing_list_lets_in",
            f"{at}: with capath a list that is missing is a warning, and everybody is let in",
            "Use ca and crl-verify with a file.",
            ProblemSeverity.LIMITS if by_list and "crl-verify" in told else ProblemSeverity.BLOCKS,
        )


def _list_is_read(at: str, told: Directives, crl: str) -> Iterator[Problem]:
    words = told.get("crl-verify")
    if words and words[-1] == "dir":
        yield Problem(
            "crl_is_a_folder",
            f"{at}: crl-verify names a folder; only a file with a list is written",
            "Name a file in crl-verify.",
        )
    elif not _same(words, crl):
        yield Problem(
            "crl_not_used",
            f"{at}: crl-verify is not the file that `crl` names: one there shuts nobody out",
            "Set crl-verify in the server's configuration, or mend `crl`.",
        )


def _same(words: tuple[str, ...] | None, path: str) -> bool:
    """Whether a directive names our path; of a relative one only the name can be compared."""
    if not words or not path:
        return False
    named, ours = Path(words[0]), Path(path)
    if not named.is_absolute():
        return named.name == ours.name
    return named == ours or named.resolve() == ours.resolve()


def not_checked(at: str) -> Problem:
    """Nobody told us the server's configuration."""
    return Problem(
        "configuration_not_seen",
        f"{at}: whether the server reads what we write is not known",
        "Name the server's configuration in `config`.",
        ProblemSeverity.LIMITS,
    )


def not_writable(at: str) -> Problem:
    """We could not shut anybody out."""
    return Problem(
        "permission_missing.write",
        f"{at}: what shuts people out cannot be replaced: its folder is not ours to write",
        "Let the account that runs Lockstep write there.",
    )
