"""What Okta says of our own credential, by reading only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from connectors.base import ConnectorFault, Transcript
from connectors.kit.finding.asking import Asking, Way
from connectors.kit.pages import Item, Shape
from connectors.kit.rest import Parts
from connectors.kit.steps import attempt
from connectors.okta import spec
from lockstep.domain.systems.access import Health, Problem, ProblemSeverity, Proof, Unread
from lockstep.domain.systems.faults import FaultCategory

# Roles that let their holder change users; a custom role's rights cannot be read with our scopes.
_CHANGING_ROLES = frozenset({"SUPER_ADMIN", "ORG_ADMIN", "USER_ADMIN", "CUSTOM"})
_NO_ANSWER = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})
_NEEDS = {
    "users": "okta.users.manage",
    "clients": "okta.users.read",
    "factors": "okta.users.read",
    "roles": "okta.roles.manage",
    "groups": "okta.groups.manage",
}
_READ_ONLY = Problem(
    "token_cannot_change_users",
    "The API token's owner holds no admin role that may suspend or deactivate users.",
    "Give the token's owner the role Organization Administrator (Super Administrator to "
    "revoke administrators), or make the token as somebody who holds it.",
)
_UNANSWERED = (
    "unreachable",
    "Okta does not answer ({code}).",
    "Check base_url, name resolution, proxy and firewall from the worker's machine.",
)
_UNCHECKED = (
    "{name}_unchecked",
    "Okta could not be asked for {name} just now ({code}).",
    "Run the check again in a minute.",
)
_UNKNOWN = (
    "{name}_unexpected",
    "Okta answers a question for {name} in an unknown way ({code}).",
    "Check that base_url is the organisation's own address, not its -admin address.",
)
_WORDS = {
    FaultCategory.UNREACHABLE: _UNANSWERED,
    FaultCategory.TIMEOUT: _UNANSWERED,
    FaultCategory.CREDENTIALS_REJECTED: (
        "token_rejected",
        "Okta rejects the API token.",
        "Make a new token under Security > API > Tokens as a service administrator. A "  # noqa: ISC004 - one text
        "token ends with its owner, and after 30 days without use.",
    ),
    FaultCategory.PERMISSION_MISSING: (
        "{name}_forbidden",
        "The token may not read {name} ({code}).",
        "Give the token's owner a role that holds {needs}, then run the check again.",
    ),
    FaultCategory.RATE_LIMITED: _UNCHECKED,
    FaultCategory.VENDOR_ERROR: _UNCHECKED,
}


@dataclass(frozen=True, slots=True)
class Examination:
    """One check of one organisation.

    The right to change something cannot be tried without changing it. It is judged by the admin
    roles of the token's owner, where Okta shows them.
    """

    parts: Parts
    asking: Asking
    ways: tuple[Way, ...]
    transcript: Transcript

    async def run(self) -> Health:
        """Whether Okta answers, takes our token, and lets us read all that a revocation reads."""
        users = await attempt(self.parts.api.some(spec.SPEC.finding.everybody, {}, self.transcript))
        if isinstance(users, ConnectorFault):
            return Health(users.category not in _NO_ANSWER, (_problem("users", users),))
        problems = await self._searches() if users else []
        if self.parts.values[spec.STRIP_GROUPS]:
            groups = await attempt(self.parts.api.some(spec.GROUPS, {}, self.transcript))
            problems += _blocked("groups", groups)
        owner = await attempt(self._me())
        if isinstance(owner, dict):
            users = [owner]
            problems += await self._owner(owner)
        if users:
            problems += await self._lists(users[0])
        return Health(reachable=True, problems=tuple({one.code: one for one in problems}.values()))

    async def _searches(self) -> list[Problem]:
        """Prove every search anew: an attribute that the index does not hold finds nobody."""
        self.asking.forget()
        problems: list[Problem] = []
        for way in self.ways:
            proof = await attempt(self.asking.proof(way, self.transcript))
            problems += _blocked("users", proof)
            problems += [_blind(way.name)] if proof is Proof.UNPROVED else []
        return problems

    async def _lists(self, user: Item) -> list[Problem]:
        """Read one user's lists: the calls that a read-back makes."""
        held = await self.parts.holdings.read({"id": user["id"]}, self.transcript)
        return [
            problem
            for row in held.unread
            if not self.parts.api.is_gone(row.code)
            for problem in _blocked(row.operation.split(".")[1], row)
        ]

    async def _me(self) -> Item | None:
        answer = await self.parts.api.read(spec.ME, {}, self.transcript)
        return self.parts.records.of(answer, spec.ME.operation) if answer is not None else None

    async def _owner(self, owner: Item) -> list[Problem]:
        call = next(row.listed for row in spec.HOLDINGS if "roles" in row.listed.call.path)
        every = replace(call, shape=Shape())  # those by a group too
        roles = await attempt(self.parts.api.whole(every, {"id": owner["id"]}, self.transcript))
        if isinstance(roles, ConnectorFault):
            return []
        held = {str(role.get("type")) for role in roles}
        return [_READ_ONLY] if held and not held & _CHANGING_ROLES else []


def _blind(name: str) -> Problem:
    return Problem(
        f"search_not_proved.{name}",
        f"Okta did not find a user whom it lists, by what it holds of {name}.",
        "Check that the attribute exists and can be searched, and that the token sees all users. "
        "Until then everybody is listed before a leaver counts as not found.",
        ProblemSeverity.LIMITS,
    )


def _blocked(name: str, result: object) -> Iterator[Problem]:
    """A failed question about one part; only a clear refusal says that revoking would fail."""
    if isinstance(result, ConnectorFault | Unread):
        problem = _problem(name, result)
        is_odd = result.category is FaultCategory.UNEXPECTED_ANSWER
        yield replace(problem, severity=ProblemSeverity.LIMITS) if is_odd else problem


def _problem(name: str, fault: ConnectorFault | Unread) -> Problem:
    """One refusal in words that a person can act on."""
    words = _WORDS.get(fault.category or FaultCategory.UNEXPECTED_ANSWER, _UNKNOWN)
    told = {"name": name, "code": fault.code, "needs": _NEEDS[name]}
    code, summary, fix = (text.format_map(told) for text in words)
    severity = ProblemSeverity.LIMITS if words is _UNCHECKED else ProblemSeverity.BLOCKS
    return Problem(code, summary, fix, severity)
