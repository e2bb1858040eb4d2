"""Whether our AWS credential may do what a revocation needs; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.aws import spec
from connectors.aws.store import IdentityCenterUsers
from connectors.aws.wire import need
from connectors.base import ConnectorFault, Transcript
from connectors.kit.calls import Api, Call
from connectors.kit.holdings import Holding
from connectors.kit.options import Values
from connectors.kit.steps import attempt
from lockstep.domain.systems.access import AccessKind, Health, Problem, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory, rule_for

_CALLER = spec.call("sts", "GetCallerIdentity")
_GET_ROLE = spec.call("iam", "GetRole", RoleName="{role}")
_SIMULATE = "SimulatePrincipalPolicy"
_WHY = {
    AccessKind.FACTOR: "remove factors",
    AccessKind.ROLE: "strip policies",
    AccessKind.GROUP: "remove groups",
    AccessKind.ASSIGNMENT: "remove assignments",
}


def _closing(row: Holding) -> Iterable[tuple[Call, str]]:
    for word, calls in row.close.by_word.items():
        yield from ((each, f"{word} secrets") for each in calls)
    kind = next(kind for kind in row.kinds if kind is not AccessKind.SIGN_IN)
    yield from ((each, _WHY[kind]) for each in row.close.calls)


def _permissions() -> Iterable[str]:
    """Every permission that a row takes, with the reason."""
    rows = (*spec.IAM_ROWS, spec.ACCOUNTS, spec.APPLICATION_ROW, spec.MEMBERSHIPS)
    wanted: list[tuple[Call, str]] = [
        (spec.USER_LIST.call, "find the user, also after a rename"),
        (spec.GET_USER, "pin the user by id"),
        (spec.TAGGED_LIST.call, "find the user by tag; list who can sign in"),
        (spec.GET_PROFILE, "read back"),
        *((row.listed.call, "read back") for row in spec.IAM_ROWS),
        (spec.ATTACH_DENY, "attach AWSDenyAll; allow no other with iam:PolicyARN"),
        (spec.DELETE_PROFILE, "end console sign-in"),
        *(each for row in spec.IAM_ROWS for each in _closing(row)),
        (spec.INSTANCES.call, "find the instance"),
        (spec.GET_USER_ID, "find the user"),
        (spec.DESCRIBE, "pin the user, read back"),
        (spec.STORE_USERS.call, "prove that users are found; compare all where it is not proved"),
        *((row.listed.call, "read back") for row in rows[len(spec.IAM_ROWS) :]),
        *(each for row in rows[len(spec.IAM_ROWS) :] for each in _closing(row)),
        (spec.DELETE_USER, 'end sign-in; not with identity_center_user = "keep"'),
        (spec.call("cloudtrail", "LookupEvents"), "optional: tell what was done with an account"),
        (spec.call("iam", _SIMULATE), "optional: check the above beforehand"),
        (_GET_ROLE, "optional: check the above beforehand"),
    ]
    return (f"{each.needs}: {why}" for each, why in wanted)


PERMISSIONS = tuple(_permissions())


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who we are: `sts:GetCallerIdentity`, which needs no permission."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def role_name(self) -> str | None:
        """``arn:aws:sts::<account>:assumed-role/<role>/<session>``: the role's path is lost."""
        kind, _, rest = self.arn.split(":", 5)[5].partition("/")
        return rest.split("/")[0] if kind == "assumed-role" else None


class HealthCheck:
    """One check of one AWS system."""

    def __init__(self, values: Values, api: Api, store: IdentityCenterUsers) -> None:
        self._values = values
        self._api = api
        self._store = store

    async def run(self, transcript: Transcript) -> Health:
        """Never raises for a refusal; stops at the credential, because all else follows from it."""
        try:
            answer = await self._api.probe(_CALLER, {}, transcript)
            caller = _Caller(need(answer, "Arn"), need(answer, "Account"))
        except ConnectorFault as fault:
            reachable = fault.category not in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(reachable, (_problem(fault),))
        problems = [_ROOT] if caller.arn.endswith(":root") else []
        if self._values[spec.USERS] != "identity_center":
            problems += await self._look_at_iam(caller, transcript)
        if self._values[spec.USERS] != "iam":
            problems += await self._look_at_identity_center(transcript)
        return Health(reachable=True, problems=(*problems, *self._blind_spots()))

    async def _look_at_iam(self, caller: _Caller, transcript: Transcript) -> list[Problem]:
        lists = [spec.USER_LIST]
        if self._values[spec.EMPLOYEE_NUMBER_TAG] or self._values[spec.EMAIL_TAG]:
            lists.append(spec.TAGGED_LIST)
        one = {"MaxItems": 1}
        tried = [
            await attempt(self._api.probe(_with(each.call, one), {}, transcript)) for each in lists
        ]
        problems = [_problem(each) for each in tried if isinstance(each, ConnectorFault)]
        try:
            denied = await self._simulate(caller, transcript)
        except ConnectorFault:
            return [*problems, _NOT_SIMULATED]
        return problems + [_missing(action) for action in denied]

    async def _look_at_identity_center(self, transcript: Transcript) -> list[Problem]:
        try:
            words = await self._store.instance(transcript)
            blind = await self._store.finder.check(words, transcript)
        except ConnectorFault as fault:
            return [_problem(fault)]
        return [_blind(way.name) for way in blind]

    async def _simulate(self, caller: _Caller, transcript: Transcript) -> list[str]:
        """IAM actions that the simulator denies us on a user that does not exist."""
        source = caller.arn
        if caller.role_name is not None:
            words = {"role": caller.role_name}
            answer = await self._api.probe(_GET_ROLE, words, transcript)
            source = need(answer, "Role", "Arn")
        context = {
            "ContextKeyName": "iam:PolicyARN",
            "ContextKeyValues": [f"arn:{caller.partition}:iam::aws:policy/AWSDenyAll"],
            "ContextKeyType": "string",
        }
        denied: list[str] = []
        for noun, calls in self._by_resource().items():
            resource = f"arn:{caller.partition}:iam::{caller.account}:{noun}/lockstep-simulation"
            asked = spec.iam_list(
                _SIMULATE,
                "EvaluationResults",
                "EvalActionName",
                members={
                    "PolicySourceArn": "{source}",
                    "ActionNames": [each.needs for each in calls],
                    "ResourceArns": [resource],
                    "ContextEntries": [context],
                },
            )
            results = await self._api.whole(asked, {"source": source}, transcript)
            denied += [one["id"] for one in results if one.get("EvalDecision") != "allowed"]
        return denied

    def _by_resource(self) -> dict[str, list[Call]]:
        """What a revocation with these settings does to a user, and to a group."""
        rows = spec.iam_rows(self._values)
        closing = [each for row in rows for each in row.close.chosen(self._values)]
        if not self._values[spec.STRIP_POLICIES]:
            closing = [each for each in closing if each not in spec.ATTACHED.close.calls]
        deny = [spec.ATTACH_DENY] if self._values[spec.DENY] == "all" else []
        reads = [spec.GET_PROFILE, *(row.listed.call for row in rows), spec.GET_USER]
        of_group = [each for each in closing if "Group" in each.operation]
        of_user = [each for each in closing if each not in of_group]
        return {"user": [*reads, spec.DELETE_PROFILE, *deny, *of_user], "group": of_group}

    def _blind_spots(self) -> tuple[Problem, ...]:
        unseen = (
            (spec.SERVICE_CREDENTIALS, "identity_center"),
            (spec.APPLICATIONS, "iam"),
        )
        return tuple(
            Problem(
                code=f"{option.name}_not_checked",
                summary=f"access of this kind is neither seen nor closed: {option.name}",
                fix=f"Set {option.name} = true.",
                severity=ProblemSeverity.LIMITS,
            )
            for option, without in unseen
            if self._values[spec.USERS] != without and not self._values[option]
        )


def _with(call: Call, members: dict[str, Any]) -> Call:
    return Call(call.method, call.path, call.operation, call.needs, body={**call.body, **members})


_limits = partial(Problem, severity=ProblemSeverity.LIMITS)
_ROOT = _limits(
    "root_credential",
    "the credential is the account's root user",
    "Create a role with the listed permissions, and set role_arn to it.",
)
_NOT_SIMULATED = _limits(
    "permissions_not_simulated",
    "whether every IAM action is allowed could not be checked beforehand",
    "Allow iam:SimulatePrincipalPolicy (and iam:GetRole for a role) on the credential itself.",
)


def _blind(name: str) -> Problem:
    return _limits(
        f"search_not_proved.{name}",
        f"a user whom AWS lists is not found by {name} in another case",
        "Nothing to do: all users are listed before a leaver counts as not found.",
    )


def _missing(action: str) -> Problem:
    return Problem(
        "permission_missing",
        f"not allowed: {action}",
        f"Allow {action} in a policy of the credential's user or role.",
    )


def _problem(fault: ConnectorFault) -> Problem:
    if fault.category is FaultCategory.PERMISSION_MISSING and fault.missing:
        return _missing(fault.missing)
    if fault.code == "no_instance":
        return Problem(
            "no_instance",
            "no IAM Identity Center instance in this region",
            'Set region to the instance\'s, or users = "iam" if there is none.',
        )
    return Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)
