"""What of a provider would keep people from signing in: for whoever sets it up."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from connectors.openid.errors import OpenIdError, Said
from connectors.openid.provider import NOT_US, Metadata, OpenIdProvider
from connectors.openid.tokens import ALGORITHMS
from lockstep.domain.systems.access import Problem, ProblemSeverity

_NO_CODE = "lockstep-doctor-asks-whether-you-know-us"


async def examine(
    provider: OpenIdProvider, *, scopes: Collection[str], redirect_uri: str
) -> list[Problem]:
    """Ask for discovery and keys, hold what is offered against what we need, and be refused a code.

    The code is made up: a provider that knows us refuses the code, one that does not refuses us.
    """
    try:
        found = await provider.metadata()
    except OpenIdError as error:
        fix = "Check [oidc] issuer: it is the address before /.well-known/openid-configuration."
        return [Problem("provider_away", f"{str(error).capitalize()}.", fix)]
    problems = _offers(found, provider, scopes)
    try:
        _, answer = await provider.ask_for_tokens(
            _NO_CODE, redirect_uri=redirect_uri, verifier=secrets.token_urlsafe(48)
        )
    except OpenIdError as error:
        fix = "Check that its token endpoint can be reached from here."
        return [*problems, Problem("no_tokens", f"Asked for tokens: {error}.", fix)]
    hidden = (provider.client.secret, _NO_CODE)
    said = Said.of(answer.get("error"), answer.get("error_description"), hidden=hidden)
    if said.error in NOT_US:
        method = provider.client.method(found.auth_methods)
        problems.append(
            Problem(
                "client_refused",
                f"It does not know us by {method} as {provider.client.client_id!r} ({said}).",
                "Compare client_id, client_secret and client_auth of [oidc] with the registration "
                f"there; it offers {', '.join(found.auth_methods)}.",
            )
        )
    return problems


def _offers(found: Metadata, provider: OpenIdProvider, scopes: Collection[str]) -> list[Problem]:
    problems: list[Problem] = []
    method = provider.client.method(found.auth_methods)
    if method not in found.auth_methods and method != "none":  # a public client is seldom listed
        problems.append(
            _limit(
                "client_auth",
                f"It offers {', '.join(found.auth_methods)}, and we prove ourselves by {method}.",
                "Set client_auth of [oidc] to what the registration there says.",
            )
        )
    if found.algorithms and not set(found.algorithms) & set(ALGORITHMS):
        says = f"It signs ID tokens by {', '.join(found.algorithms)} only; we believe none of them."
        fix = f"Let it sign for Lockstep by one of {', '.join(ALGORITHMS)}."
        problems.append(Problem("algorithms", says, fix))
    if found.response_types and "code" not in found.response_types:
        says = "It does not offer the authorization code flow."
        problems.append(Problem("response_types", says, "Allow response type `code` there."))
    if found.challenge_methods and "S256" not in found.challenge_methods:
        says = "It does not say that it checks PKCE by S256."
        problems.append(_limit("pkce", says, "Allow PKCE with S256 there."))
    unknown = sorted(set(scopes) - set(found.scopes)) if found.scopes else []
    if unknown:
        says = f"It does not list these of our scopes: {', '.join(unknown)}."
        problems.append(_limit("scopes", says, "Correct scopes of [oidc], or allow them there."))
    return problems


def _limit(code: str, says: str, fix: str) -> Problem:
    return Problem(code, says, fix, ProblemSeverity.LIMITS)
