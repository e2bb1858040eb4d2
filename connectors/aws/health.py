"""Whether our AWS credential may do what a revocation needs; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.aws.http import AwsCalls
from connectors.aws.settings import AwsSettings
from connectors.aws.sso import IdentityCenterUsers
from connectors.base import ConnectorFault, Transcript
from lockstep.domain.systems.access import Health, Problem, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory, rule_for

_FIND = (
    ("iam:ListUsers", "find the user, also after a rename"),
    ("iam:GetUser", "pin the user by id"),
)
_FIND_BY_TAG = (("iam:GetAccountAuthorizationDetails", "find the user by tag"),)
_LOOK = tuple(
    (f"iam:{action}", "read back")
    for action in (
        "GetLoginProfile",
        "ListAccessKeys",
        "ListSSHPublicKeys",
        "ListSigningCertificates",
        "ListServiceSpecificCredentials",
        "ListMFADevices",
        "ListAttachedUserPolicies",
        "ListUserPolicies",
        "ListGroupsForUser",
    )
)
_DENY = (("iam:AttachUserPolicy", "attach AWSDenyAll; allow no other with iam:PolicyARN"),)
_CLOSE = (
    ("iam:DeleteLoginProfile", "end console sign-in"),
    ("iam:DeactivateMFADevice", "remove factors"),
    ("iam:RemoveUserFromGroup", "remove groups"),
)
_STRIP = (
    ("iam:DetachUserPolicy", "strip policies"),
    ("iam:DeleteUserPolicy", "strip policies"),
)
_DEACTIVATE = tuple(
    (f"iam:Update{name}", "deactivate secrets")
    for name in ("AccessKey", "SSHPublicKey", "SigningCertificate", "ServiceSpecificCredential")
)
_DELETE = tuple((action.replace("Update", "Delete"), "delete secrets") for action, _ in _DEACTIVATE)
_IDENTITY_CENTER = (
    ("sso:ListInstances", "find the instance"),
    ("sso:ListAccountAssignmentsForPrincipal", "read back"),
    ("sso:ListApplicationAssignmentsForPrincipal", "read back"),
    ("sso:DeleteAccountAssignment", "remove assignments"),
    ("sso:DeleteApplicationAssignment", "remove assignments"),
    ("identitystore:GetUserId", "find the user"),
    ("identitystore:DescribeUser", "pin the user, read back"),
    ("identitystore:ListUsers", "prove that users are found; compare all where it is not proved"),
    ("identitystore:ListGroupMembershipsForMember", "read back"),
    ("identitystore:DeleteGroupMembership", "remove groups"),
    ("identitystore:DeleteUser", 'end sign-in; not with identity_center_user = "keep"'),
)

PERMISSIONS = tuple(
    f"{action}: {reason}"
    for action, reason in (
        *_FIND,
        *_FIND_BY_TAG,
        *_LOOK,
        *_DENY,
        *_CLOSE,
        *_STRIP,
        *_DEACTIVATE,
        *_DELETE,
        *_IDENTITY_CENTER,
        ("iam:SimulatePrincipalPolicy", "optional: check the above beforehand"),
        ("iam:GetRole", "optional: check the above beforehand"),
    )
)


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

    def __init__(
        self, settings: AwsSettings, calls: AwsCalls, identity_center: IdentityCenterUsers
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._identity_center = identity_center

    async def run(self, transcript: Transcript) -> Health:
        """Never raises for a refusal; stops at the credential, because all else follows from it."""
        try:
            answer = await self._calls.call("sts", "GetCallerIdentity", {}, transcript)
        except ConnectorFault as fault:
            reachable = fault.category not in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(reachable, (_problem(fault),))
        caller = _Caller(answer.need("Arn"), answer.need("Account"))
        problems: list[Problem] = []
        if caller.arn.endswith(":root"):
            problems.append(_ROOT)
        if self._settings.iam:
            problems += await self._look_at_iam(caller, transcript)
        if self._settings.identity_center:
            problems += await self._look_at_identity_center(transcript)
        return Health(reachable=True, problems=tuple(problems) + self._blind_spots())

    async def _look_at_iam(self, caller: _Caller, transcript: Transcript) -> list[Problem]:
        problems = await self._probe("iam", "ListUsers", {"MaxItems": 1}, transcript)
        if self._settings.employee_number_tag or self._settings.email_tag:
            one = {"Filter": ["User"], "MaxItems": 1}
            problems += await self._probe("iam", "GetAccountAuthorizationDetails", one, transcript)
        try:
            denied = await self._simulate(caller, transcript)
        except ConnectorFault:
            return [*problems, _NOT_SIMULATED]
        return problems + [_missing(action) for action in denied]

    async def _look_at_identity_center(self, transcript: Transcript) -> list[Problem]:
        try:
            instance = await self._identity_center.instance(transcript)
        except ConnectorFault as fault:
            return [_problem(fault)]
        try:
            blind = await self._identity_center.finder.check(instance, transcript)
        except ConnectorFault as fault:
            return [_problem(fault)]
        return [_blind(way.name) for way in blind]

    async def _probe(
        self, service: str, operation: str, params: dict[str, Any], transcript: Transcript
    ) -> list[Problem]:
        try:
            await self._calls.call(service, operation, params, transcript)
        except ConnectorFault as fault:
            return [_problem(fault)]
        return []

    async def _simulate(self, caller: _Caller, transcript: Transcript) -> list[str]:
        """IAM actions that the simulator denies us on a user that does not exist."""
        source = caller.arn
        if caller.role_name is not None:
            role = {"RoleName": caller.role_name}
            answer = await self._calls.call("iam", "GetRole", role, transcript)
            source = answer.need("Role")["Arn"]
        deny = f"arn:{caller.partition}:iam::aws:policy/AWSDenyAll"
        scope = f"arn:{caller.partition}:iam::{caller.account}"
        denied: list[str] = []
        for resource, actions in self._by_resource(scope).items():
            params = {
                "PolicySourceArn": source,
                "ActionNames": actions,
                "ResourceArns": [resource],
                "ContextEntries": [
                    {
                        "ContextKeyName": "iam:PolicyARN",
                        "ContextKeyValues": [deny],
                        "ContextKeyType": "string",
                    }
                ],
            }
            results = await self._calls.pages(
                "iam", "SimulatePrincipalPolicy", params, transcript, key="EvaluationResults"
            )
            denied += [one["EvalActionName"] for one in results if one["EvalDecision"] != "allowed"]
        return denied

    def _by_resource(self, scope: str) -> dict[str, list[str]]:
        settings = self._settings
        wanted = [
            *_LOOK,
            ("iam:GetUser", ""),
            ("iam:DeleteLoginProfile", ""),
            ("iam:DeactivateMFADevice", ""),
            *(_DENY if settings.deny_all else ()),
            *(_STRIP if settings.strip_policies else ()),
            *(_DELETE if settings.delete_keys else _DEACTIVATE),
        ]
        skipped = "" if settings.service_credentials else "ServiceSpecificCredential"
        actions = [action for action, _ in wanted if not skipped or skipped not in action]
        return {
            f"{scope}:user/lockstep-simulation": actions,
            f"{scope}:group/lockstep-simulation": ["iam:RemoveUserFromGroup"],
        }

    def _blind_spots(self) -> tuple[Problem, ...]:
        settings = self._settings
        unseen = (
            ("service_credentials", settings.iam and not settings.service_credentials),
            ("applications", settings.identity_center and not settings.applications),
        )
        return tuple(
            Problem(
                code=f"{option}_not_checked",
                summary=f"access of this kind is neither seen nor closed: {option}",
                fix=f"Set {option} = true.",
                severity=ProblemSeverity.LIMITS,
            )
            for option, is_unseen in unseen
            if is_unseen
        )


_ROOT = Problem(
    code="root_credential",
    summary="the credential is the account's root user",
    fix="Create a role with the listed permissions, and set role_arn to it.",
    severity=ProblemSeverity.LIMITS,
)
_NOT_SIMULATED = Problem(
    code="permissions_not_simulated",
    summary="whether every IAM action is allowed could not be checked beforehand",
    fix="Allow iam:SimulatePrincipalPolicy (and iam:GetRole for a role) on the credential itself.",
    severity=ProblemSeverity.LIMITS,
)


def _blind(name: str) -> Problem:
    return Problem(
        code=f"search_not_proved.{name}",
        summary=f"a user whom AWS lists is not found by {name} in another case",
        fix="Nothing to do: all users are listed before a leaver counts as not found.",
        severity=ProblemSeverity.LIMITS,
    )


def _missing(action: str) -> Problem:
    return Problem(
        code="permission_missing",
        summary=f"not allowed: {action}",
        fix=f"Allow {action} in a policy of the credential's user or role.",
    )


def _problem(fault: ConnectorFault) -> Problem:
    if fault.category is FaultCategory.PERMISSION_MISSING and fault.missing:
        return _missing(fault.missing)
    if fault.code == "no_instance":
        return Problem(
            code="no_instance",
            summary="no IAM Identity Center instance in this region",
            fix='Set region to the instance\'s, or users = "iam" if there is none.',
        )
    return Problem(
        code=fault.category.value, summary=str(fault), fix=rule_for(fault.category).suggestion
    )
