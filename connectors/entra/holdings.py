"""What a person holds in a tenant, as rows: where it is listed, and how it ends."""

from __future__ import annotations

import re
from dataclasses import replace

from connectors.entra import calls, quirks, settings
from connectors.kit.calls import Call, Listed
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import Shape, Whole
from lockstep.domain.systems.access import AccessKind

_PRINCIPAL = "principalId eq '{id}'"


def _devices(name: str) -> Holding:
    params = {"$select": "id,displayName,accountEnabled"}
    return Holding(
        replace(
            calls.of_user(name, f"users.{name}", calls.DEVICE, params=params), gone_is_empty=True
        ),
        {AccessKind.DEVICE: always},
        Close(
            (
                Call(
                    "PATCH",
                    "/devices/{ref}",
                    "devices.disable",
                    calls.DEVICE,
                    body={"accountEnabled": False},
                ),
            )
        ),
        stands=lambda device: device.get("accountEnabled") is not False,
        again=True,
        where=lambda values: values[settings.DEVICES] == "disable",
    )


HOLDINGS = (
    Holding(
        calls.of_user("oauth2PermissionGrants", "users.consents", calls.GRANTS),
        {AccessKind.TOKEN: always},
        calls.deleting("/oauth2PermissionGrants/{ref}", "consents", calls.GRANTS),
        owner="principalId",
    ),
    # The default method goes last, while others are there: a refused one goes when it is retried.
    Holding(
        calls.of_user(
            "authentication/methods",
            "users.methods",
            calls.METHODS,
            shape={"counts": quirks.is_factor, "parts": ("@odata.type", "id"), "ref": "name"},
        ),
        {AccessKind.FACTOR: always},
        calls.deleting(
            "/users/{id}/authentication/{collection}/{method}", "methods", calls.METHODS
        ),
        ref=quirks.factor_ref,
        named=re.compile(r"(?P<collection>\w+Methods)/(?P<method>.+)"),
    ),
    _devices("registeredDevices"),
    _devices("ownedDevices"),
    Holding(
        calls.listed(
            "/roleManagement/directory/roleAssignments",
            "roles",
            calls.ROLES,
            params={"$filter": _PRINCIPAL},
        ),
        {AccessKind.ROLE: always},
        calls.deleting("/roleManagement/directory/roleAssignments/{role}", "roles", calls.ROLES),
        owner="principalId",
        ref=lambda role: f"active/{role['id']}",
        named=re.compile("active/(?P<role>.+)"),
    ),
    Holding(
        calls.listed(
            "/roleManagement/directory/roleEligibilitySchedules",
            "eligible_roles",
            calls.ROLES,
            params={"$filter": _PRINCIPAL},
        ),
        {AccessKind.ROLE: always},
        Close(
            (
                Call(
                    "POST",
                    "/roleManagement/directory/roleEligibilityScheduleRequests",
                    "eligible_roles.remove",
                    calls.ROLES,
                    body={
                        "action": "adminRemove",
                        "principalId": "{id}",
                        "roleDefinitionId": "{role}",
                        "directoryScopeId": "{scope}",
                        "justification": "The person has left.",
                    },
                ),
            )
        ),
        owner="principalId",
        # Removing what is no more eligible is an error.
        again=True,
        ref=lambda row: f"eligible/{row['roleDefinitionId']}{row['directoryScopeId']}",
        named=re.compile("eligible/(?P<role>[^/]+)(?P<scope>/.*)"),
        where=lambda values: values[settings.PIM],
    ),
    Holding(
        calls.of_user(
            "memberOf",
            "users.groups",
            calls.GROUPS,
            params={"$select": "id,groupTypes,mailEnabled,onPremisesSyncEnabled"},
            shape={"counts": quirks.is_group},
        ),
        {AccessKind.GROUP: always},
        calls.deleting("/groups/{ref}/members/{id}/$ref", "groups.members", calls.GROUPS),
        leaves={
            "groups_by_rule": quirks.is_by_rule,
            "on_premises_groups": quirks.is_on_premises,
            "exchange_groups": quirks.is_of_exchange,
        },
    ),
    Holding(
        calls.of_user("appRoleAssignments", "users.apps", calls.APP_ROLES),
        {AccessKind.ASSIGNMENT: always},
        calls.deleting("/users/{id}/appRoleAssignments/{assignment}", "apps", calls.APP_ROLES),
        owner="principalId",
        ref=lambda row: f"app/{row['id']}",
        named=re.compile("app/(?P<assignment>.+)"),
    ),
    # A licence that a group gives and one of the person's own can be of one product: neither has an
    # id of its own.
    Holding(
        Listed(
            Call(
                "GET",
                "/users/{id}",
                "users.licences",
                calls.USER,
                {"$select": "id,licenseAssignmentStates"},
            ),
            Whole(),
            Shape(at=("licenseAssignmentStates",), ref=""),
            gone_is_empty=True,
        ),
        {AccessKind.SEAT: always},
        Close(
            (
                Call(
                    "POST",
                    "/users/{id}/assignLicense",
                    "users.remove_licence",
                    calls.SEATS,
                    body={"addLicenses": [], "removeLicenses": ["{sku}"]},
                ),
            )
        ),
        ref=lambda row: f"licence/{row['skuId']}",
        named=re.compile("licence/(?P<sku>.+)"),
        again=True,
        leaves={"licences_by_group": quirks.is_by_group},
        where=lambda values: values[settings.LICENCES] == "remove",
    ),
)
