"""Signing in by OpenID Connect: from a provider's claims to somebody's session."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from connectors.openid.errors import (
    NOTHING_SAID,
    OpenIdError,
    ProviderAwayError,
    Said,
    UntrustedError,
)
from connectors.openid.provider import OpenIdProvider
from lockstep.control.people.sessions import Identity, Sessions, SignInError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Role, permissions_of
from lockstep.storage.people.users import digest

log = structlog.get_logger("lockstep.web")

CALLBACK = "/console/oidc/callback"
"""Where the provider sends browsers back to, below our origin."""
UNDER_WAY = timedelta(minutes=10)
"""How long somebody may take at the provider."""
_KIND = "oidc"
_CODE = re.compile(r"[a-z_]{1,60}")
_NUMBER_BYTES = 6
_MOST_GROUPS = 10_000
_MOST_TEXT = 200


class ProviderError(SignInError):
    """Nobody was signed in because of what the provider said, or did not say.

    ``incident`` stands in the log beside ``detail``, which is for administrators: whoever is not
    signed in is told the number alone.
    """

    def __init__(self, text: str, *, detail: str) -> None:
        super().__init__(text)
        self.detail = detail
        self.incident = "s" + secrets.token_hex(_NUMBER_BYTES)


class ProviderDownError(ProviderError):
    """The provider gave no answer: the same may work in a minute."""


@dataclass(frozen=True, slots=True)
class Group:
    """What members of a group at the provider may do. ``partners`` None is every partner.

    ``sites``: of which they report leavers; None is every one.
    """

    name: str
    roles: frozenset[Role]
    partners: frozenset[str] | None
    more: frozenset[Permission] = frozenset()
    sites: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Which claims say what. ``groups`` may be a path such as ``realm_access.roles``.

    ``keys``: by which HR may know the person, each with its claim.
    """

    groups: tuple[Group, ...]
    groups_claim: str = "groups"
    name_claim: str = "name"
    keys: Mapping[KeyKind, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider sent the browser back with."""

    state: str = ""
    code: str = field(default="", repr=False)
    error: str = ""
    description: str = field(default="", repr=False)
    issuer: str = ""


class OidcSignIn:
    """The use case. ``redirect_uri``: where the provider sends browsers back to."""

    def __init__(
        self,
        provider: OpenIdProvider,
        sessions: Sessions,
        reading: Reading,
        *,
        scopes: Sequence[str],
        redirect_uri: str,
        signed_out_uri: str,
    ) -> None:
        self._provider = provider
        self._sessions = sessions
        self._reading = reading
        self._scopes = list(scopes)
        self._redirect_uri = redirect_uri
        self._signed_out_uri = signed_out_uri

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def begin(self, browser: str, *, next_path: str) -> str:
        """Where to send a browser that wants to sign in.

        Args:
            browser: a secret that only this browser holds: nobody else can end what it began.
            next_path: where it goes afterwards.

        Raises:
            SignInError: if the provider gives no answer (`ProviderDownError`), or no usable one.
        """
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        try:
            location = await self._provider.authorization_url(
                redirect_uri=self._redirect_uri,
                scopes=self._scopes,
                state=state,
                nonce=nonce,
                verifier=verifier,
            )
        except OpenIdError as error:
            raise _told(error) from None
        document = {
            "nonce": nonce,
            "verifier": verifier,
            "next": next_path,
            "browser": digest(browser).hex(),
        }
        await self._sessions.users.begin_sign_in(state, _KIND, document, lifetime=UNDER_WAY)
        return location

    async def complete(self, answer: Answer, *, browser: str) -> tuple[str, str]:
        """The cookie of a new session, and where the browser goes.

        Raises:
            SignInError: for whoever is not to be signed in; the text may be shown.
        """
        begun = await self._sessions.users.take_sign_in(answer.state, _KIND) if answer.state else {}
        if not begun or not hmac.compare_digest(begun["browser"], digest(browser).hex()):
            raise SignInError(
                "This sign-in was not begun in this browser, or more than ten minutes ago, or it "
                "is done already. Begin again."
            )
        if answer.error:
            raise _refused(Said.of(answer.error, answer.description))
        try:
            claims, issuer = await self._proved(answer, begun)
        except OpenIdError as error:
            raise _told(error) from None
        who = identity_of(claims, self._reading, issuer=issuer)
        return await self._sessions.begin(who), str(begun["next"])

    async def log_out(self, token: str) -> int:
        """End what a logout token of the provider says; return how many sessions ended.

        Raises:
            OpenIdError: for a token that proves nothing, or was used before.
        """
        claims = await self._provider.logout_claims(token)
        issuer = (await self._provider.metadata()).issuer
        ended = await self._sessions.users.log_out(
            claims.jti,
            issuer,
            session=claims.session,
            subject=claims.subject,
            lifetime=timedelta(seconds=claims.lasts_s),
        )
        if ended is None:
            raise UntrustedError("the token was used before")
        return ended

    async def sign_out_url(self) -> str:
        """Where one signs out of the provider too; "" where that is not offered, or it is away."""
        try:
            return await self._provider.end_session_url(self._signed_out_uri)
        except OpenIdError:
            return ""

    async def _proved(self, answer: Answer, begun: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """What the provider proves of whoever came back, and its issuer; raises `OpenIdError`."""
        metadata = await self._provider.metadata()
        if (answer.issuer or metadata.names_itself) and answer.issuer != metadata.issuer:
            raise UntrustedError("the answer comes from another provider")  # RFC 9207
        if not answer.code:
            raise UntrustedError("the provider gave no code")
        grant = await self._provider.exchange(
            answer.code, redirect_uri=self._redirect_uri, verifier=begun["verifier"]
        )
        claims = await self._provider.claims(grant, nonce=begun["nonce"])
        if any(claim_of(claims, name) is None for name in _wanted(self._reading)):
            further = await self._provider.userinfo(grant, subject=claims["sub"])
            claims = {**further, **claims}
        return claims, metadata.issuer


def identity_of(claims: Mapping[str, Any], reading: Reading, *, issuer: str) -> Identity:
    """Somebody as their claims describe them; whoever is in several groups has all of them.

    Raises:
        SignInError: if no claim says by which key HR knows the person. Nobody must see their own
            case, and a leaver must lose their access: without a key, neither can be ensured.
    """
    keys = tuple(
        Key(kind, text)
        for kind, name in reading.keys.items()
        for text in _texts(claim_of(claims, name))
    )
    if not keys:
        names = ", ".join(reading.keys.values())
        raise SignInError(
            f"Your identity provider tells nothing of you by which HR knows people ({names}). "
            "Ask your administrator to release one of these claims to Lockstep."
        )
    member_of = set(_texts(claim_of(claims, reading.groups_claim)))
    groups = [group for group in reading.groups if group.name in member_of]
    return Identity(
        issuer=issuer,
        subject=str(claims["sub"]),
        name=_name(claims, reading.name_claim),
        roles=frozenset[Role]().union(*(group.roles for group in groups)),
        partners=_all_of([group.partners for group in groups]),
        more=frozenset[Permission]().union(*(group.more for group in groups)),
        keys=keys,
        speaks=_speaks(groups),
        session=next(iter(_texts(claims.get("sid"))), ""),
    )


def claim_of(claims: Mapping[str, Any], name: str) -> object:
    """A claim by its name, or else by its path; None where there is none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _wanted(reading: Reading) -> Iterable[str]:
    return reading.groups_claim, reading.name_claim, *reading.keys.values()


def _texts(value: object) -> list[str]:
    """A claim that is a text, or a list of them."""
    given = value[:_MOST_GROUPS] if isinstance(value, list) else [value]
    return [text for text in given if isinstance(text, str) and text]


def _speaks(groups: Sequence[Group]) -> Remit:
    """For whose people members speak: those of the groups that let them report leavers."""
    theirs = [each for each in groups if Permission.SEND_EVENTS in permissions_of(each.roles)]
    return Remit(_all_of([each.partners for each in theirs]), _all_of([e.sites for e in theirs]))


def _all_of(named: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    """All that any of them names; None where one is for every one."""
    some = [each for each in named if each is not None]
    return frozenset[str]().union(*some) if len(some) == len(named) else None


def _name(claims: Mapping[str, Any], wanted: str) -> str:
    for claim in (wanted, "preferred_username", "email"):
        for text in _texts(claim_of(claims, claim)):
            plain = "".join(letter if letter.isprintable() else " " for letter in text)
            if plain.strip():
                return plain.strip()[:_MOST_TEXT]
    return "Somebody without a name"


def _refused(said: Said) -> ProviderError:
    code = said.error if _CODE.fullmatch(said.error) else "an error"
    match code:
        case "access_denied":
            text = "The sign-in was cancelled, or your provider does not allow it."
        case "temporarily_unavailable" | "server_error":
            text = "Your identity provider has a fault. Try again in a few minutes."
        case _:
            text = "Your identity provider refuses the sign-in: the registration of Lockstep "
            text += "there may be wrong."
    error = ProviderError(text, detail=str(said))
    log.warning("sign_in_refused", incident=error.incident, error=error.detail)
    return error


def _told(error: OpenIdError) -> ProviderError:
    """What a person may know of a failure; ``detail`` is what an administrator needs."""
    detail = str(error) if error.said == NOTHING_SAID else f"{error}; it said {error.said}"
    if isinstance(error, ProviderAwayError):
        text = "Your identity provider cannot be used just now. Revocations go on without you; "
        text += "try again in a minute."
        failure: ProviderError = ProviderDownError(text, detail=detail)
    else:
        text = "What your identity provider sent proves nothing. Begin again."
        failure = ProviderError(text, detail=detail)
    log.warning("sign_in_failed", incident=failure.incident, error=failure.detail)
    return failure
