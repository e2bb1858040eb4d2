"""What Okta says of our own credential, by reading only."""

from __future__ import annotations

from dataclasses import replace

from connectors.base import ConnectorFault, Transcript
from connectors.okta.api import OktaApi
from connectors.okta.faults import attempt
from connectors.okta.lists import MANAGE_GROUPS, MANAGE_ROLES, MANAGE_USERS, READ_USERS
from connectors.okta.options import OktaOptions
from connectors.okta.search import BY_LOGIN, EMAIL, Searches, Way
from connectors.okta.user import OktaUser
from lockstep.domain.systems.access import AccessKind, Health, Problem, ProblemSeverity, Proof
from lockstep.domain.systems.faults import FaultCategory

# Roles that let their holder change users; a custom role's rights cannot be read with our scopes.
_CHANGING_ROLES = frozenset({"SUPER_ADMIN", "ORG_ADMIN", "USER_ADMIN", "CUSTOM"})
_NO_ANSWER = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})


async def examine(
    api: OktaApi, options: OktaOptions, searches: Searches, transcript: Transcript
) -> Health:
    """Check that Okta answers, takes our token, and lets us read all that a revocation reads.

    Every search is proved anew: an attribute that the index does not hold finds nobody.

    The right to change something cannot be tried without changing it. It is judged by the admin
    roles of the token's owner, where Okta shows them.
    """
    users = await attempt(api.some_users(transcript))
    if isinstance(users, ConnectorFault):
        reachable = users.category not in _NO_ANSWER
        return Health(reachable, (_problem("users", MANAGE_USERS, users),))
    problems = list(await _probe_searches(searches, transcript)) if users else []
    if options.strip_groups:
        result = await attempt(api.sample_group(transcript))
        problems.append(_blocked("groups", MANAGE_GROUPS, result))
    owner = await attempt(api.token_owner(transcript))
    if isinstance(owner, OktaUser):
        problems.append(await _judge_owner(api, owner, transcript))
    sample = [owner] if isinstance(owner, OktaUser) else users
    if sample:
        problems += await _probe_lists(api, options, sample[0], transcript)
    named = {problem.code: problem for problem in problems if problem is not None}
    return Health(True, tuple(named.values()))


async def _probe_searches(searches: Searches, transcript: Transcript) -> list[Problem | None]:
    searches.forget()
    ways = (BY_LOGIN, EMAIL, *searches.numbers())
    found: list[Problem | None] = []
    for way in ways:
        proof = await attempt(searches.proof(way, transcript))
        if isinstance(proof, ConnectorFault):
            found.append(_blocked("users", MANAGE_USERS, proof))
        elif proof is Proof.UNPROVED:
            found.append(_blind(way))
    return found


def _blind(way: Way) -> Problem:
    return Problem(
        f"search_not_proved.{way.name}",
        f"Okta did not find a user whom it lists, by what it holds of {way.name}.",
        "Check that the attribute exists and can be searched, and that the token sees all users. "
        "Until then everybody is listed before a leaver counts as not found.",
        ProblemSeverity.LIMITS,
    )


async def _probe_lists(
    api: OktaApi, options: OktaOptions, sample: OktaUser, transcript: Transcript
) -> list[Problem | None]:
    """Read one user's lists: the calls that a read-back makes."""
    probes = [("clients", AccessKind.TOKEN, READ_USERS)]
    if options.reset_factors:
        probes.append(("factors", AccessKind.FACTOR, READ_USERS))
    if options.strip_roles:
        probes.append(("roles", AccessKind.ROLE, MANAGE_ROLES))
    if options.strip_groups:
        probes.append(("groups", AccessKind.GROUP, MANAGE_GROUPS))
    return [
        _blocked(name, needs, await attempt(api.refs(kind, sample.id, transcript)))
        for name, kind, needs in probes
    ]


async def _judge_owner(api: OktaApi, owner: OktaUser, transcript: Transcript) -> Problem | None:
    roles = await attempt(api.role_types(owner.id, transcript))
    if isinstance(roles, ConnectorFault) or not roles or roles & _CHANGING_ROLES:
        return None
    return Problem(
        "token_cannot_change_users",
        "The API token's owner holds no admin role that may suspend or deactivate users.",
        "Give the token's owner the role Organization Administrator (Super Administrator to "
        "revoke administrators), or make the token as somebody who holds it.",
    )


def _blocked(name: str, needs: str, result: object) -> Problem | None:
    """A failed question about one part; only a clear refusal says that revoking would fail."""
    if not isinstance(result, ConnectorFault):
        return None
    problem = _problem(name, needs, result)
    if result.category is FaultCategory.UNEXPECTED_ANSWER:
        return replace(problem, severity=ProblemSeverity.LIMITS)
    return problem


def _problem(name: str, needs: str, fault: ConnectorFault) -> Problem:
    """One refusal in words that a person can act on."""
    match fault.category:
        case FaultCategory.UNREACHABLE | FaultCategory.TIMEOUT:
            return Problem(
                "unreachable",
                f"Okta does not answer ({fault.code}).",
                "Check base_url, name resolution, proxy and firewall from the worker's machine.",
            )
        case FaultCategory.CREDENTIALS_REJECTED:
            return Problem(
                "token_rejected",
                "Okta rejects the API token.",
                "Make a new token under Security > API > Tokens as a service administrator. A "
                "token ends with its owner, and after 30 days without use.",
            )
        case FaultCategory.PERMISSION_MISSING:
            return Problem(
                f"{name}_forbidden",
                f"The token may not read {name} ({fault.code}).",
                f"Give the token's owner a role that holds {needs}, then run the check again.",
            )
        case FaultCategory.RATE_LIMITED | FaultCategory.VENDOR_ERROR:
            return Problem(
                f"{name}_unchecked",
                f"Okta could not be asked for {name} just now ({fault.code}).",
                "Run the check again in a minute.",
                ProblemSeverity.LIMITS,
            )
        case _:
            return Problem(
                f"{name}_unexpected",
                f"Okta answers a question for {name} in an unknown way ({fault.code}).",
                "Check that base_url is the organisation's own address, not its -admin address.",
            )
