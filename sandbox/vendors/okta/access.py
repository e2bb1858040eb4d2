"""Operations of the simulated Okta on what a user holds: sessions, tokens, groups, roles."""

from http import HTTPStatus
from typing import Final

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call, Route
from sandbox.kit.wire import Response
from sandbox.vendors.okta.answers import change, error, no_content, not_found, ok
from sandbox.vendors.okta.seed import ISSUER
from sandbox.vendors.okta.users import LAST_SUPER_ADMIN, is_last_super_admin, missing

__all__ = ["ACCESS_ROUTES"]


def clear_sessions(call: Call) -> Response:
    """End the user's sessions, and with `oauthTokens=true` the OAuth tokens; 204 either way."""
    account = call.account
    if account is None:
        return missing(call)
    parts = account.parts
    with_tokens = call.request.query.get("oauthTokens", "false").lower() == "true"
    if parts["sessions"] or (with_tokens and parts["tokens"]):
        change(call, account, "user.session.clear", "Clear user session")
    parts["sessions"].clear()
    if with_tokens:
        parts["tokens"].clear()
    return no_content()


def list_grants(call: Call) -> Response:
    """The consents of the user."""
    account = call.account
    if account is None:
        return missing(call)
    return ok(
        [
            {
                "id": grant["id"],
                "status": "ACTIVE",
                "created": grant["created"],
                "lastUpdated": grant["created"],
                "issuer": ISSUER,
                "clientId": grant["clientId"],
                "userId": account.id,
                "scopeId": "scp" + grant["id"][3:],
                "source": "END_USER",
            }
            for grant in account.parts["grants"]
        ]
    )


def revoke_grants(call: Call) -> Response:
    """Take back every consent; 204 also when there was none."""
    account = call.account
    if account is None:
        return missing(call)
    if account.parts["grants"]:
        account.parts["grants"].clear()
        change(call, account, "app.oauth2.as.consent.revoke.user", "Revoke all consents of a user")
    return no_content()


def _live_clients(account: Account) -> list[Item]:
    """Clients for which the user has grants or tokens (specification of the operation)."""
    parts = account.parts
    live = {item["clientId"] for item in (*parts["tokens"], *parts["grants"])}
    return [client for client in parts["clients"] if client["id"] in live]


def list_clients(call: Call) -> Response:
    """Clients with tokens or grants: empty only when both are gone."""
    if call.account is None:
        return missing(call)
    return ok(
        [
            {"client_id": client["id"], "client_name": client["client_name"]}
            for client in _live_clients(call.account)
        ]
    )


def list_tokens(call: Call) -> Response:
    """Refresh tokens of one client."""
    account = call.account
    if account is None:
        return missing(call)
    client_id = call.params["client"]
    return ok(
        [
            {
                "id": token["id"],
                "status": "ACTIVE",
                "created": token["created"],
                "lastUpdated": token["created"],
                "issuer": ISSUER,
                "clientId": client_id,
                "userId": account.id,
                "scopes": ["offline_access", "openid"],
            }
            for token in account.parts["tokens"]
            if token["clientId"] == client_id
        ]
    )


def revoke_tokens(call: Call) -> Response:
    """Revoke the tokens of one client."""
    account, client_id = call.account, call.params["client"]
    if account is None:
        return missing(call)
    if account.item("clients", client_id) is None:
        return not_found(f"{client_id} (OAuth2Client)")
    kept = [token for token in account.parts["tokens"] if token["clientId"] != client_id]
    if len(kept) < len(account.parts["tokens"]):
        account.parts["tokens"][:] = kept
        change(call, account, "app.oauth2.token.revoke", "Revoke OAuth tokens of a user")
    return no_content()


def list_factors(call: Call) -> Response:
    """Enrolled factors."""
    return ok(call.account.parts["factors"]) if call.account else missing(call)


def _factors_refused(account: Account) -> Response | None:
    """Factors of a deactivated user cannot be unenrolled (specification of `unenrollFactor`)."""
    if account.doc["status"] != "DEPROVISIONED":
        return None
    return error(HTTPStatus.FORBIDDEN, "E0000038")


def reset_factors(call: Call) -> Response:
    """Unenrol every factor."""
    account = call.account
    if account is None:
        return missing(call)
    refused = _factors_refused(account)
    if refused is not None:
        return refused
    if account.parts["factors"]:
        account.parts["factors"].clear()
        change(call, account, "user.mfa.factor.reset_all", "Reset all factors for user")
    return ok({})


def delete_factor(call: Call) -> Response:
    """Unenrol one factor; unenrolling `push` takes Okta's own code factor with it."""
    account, factor_id = call.account, call.params["factor"]
    if account is None:
        return missing(call)
    refused = _factors_refused(account)
    if refused is not None:
        return refused
    taken = account.take("factors", factor_id)
    if taken is None:
        return not_found(f"{factor_id} (Factor)")
    if taken["factorType"] == "push":
        account.parts["factors"][:] = [
            factor
            for factor in account.parts["factors"]
            if (factor["factorType"], factor["provider"]) != ("token:software:totp", "OKTA")
        ]
    change(call, account, "user.mfa.factor.deactivate", "Reset factor for user")
    return no_content()


def list_groups(call: Call) -> Response:
    """Groups of the user, Everyone included."""
    return ok(call.account.parts["groups"]) if call.account else missing(call)


def list_all_groups(_: Call) -> Response:
    """The organisation's groups: Everyone, as in every organisation; the others are not kept."""
    everyone = {"id": "00geveryone", "type": "BUILT_IN", "profile": {"name": "Everyone"}}
    return ok([everyone])


def leave_group(call: Call) -> Response:
    """Remove the user from a group.

    Only memberships of OKTA_GROUP can be changed; for APP_GROUP and Everyone Okta answers 403
    E0000006 even to a super administrator
    (https://github.com/okta/okta-sdk-java/issues/314,
    https://github.com/okta/terraform-provider-okta/pull/118).
    """
    account, group_id = call.account, call.params["group"]
    if account is None:
        return missing(call)
    group = account.item("groups", group_id)
    if group is None:
        # Removing somebody who is no member is not an error; an id of no group is.
        known = group_id.startswith("00g")
        return no_content() if known else not_found(f"{group_id} (UserGroup)")
    if group["type"] != "OKTA_GROUP":
        return error(HTTPStatus.FORBIDDEN, "E0000006")
    account.take("groups", group_id)
    change(call, account, "group.user_membership.remove", "Remove user from group membership")
    return no_content()


def list_roles(call: Call) -> Response:
    """Admin roles of the user."""
    return ok(call.account.parts["roles"]) if call.account else missing(call)


def remove_role(call: Call) -> Response:
    """Take an admin role away; never the last SUPER_ADMIN."""
    account, role_id = call.account, call.params["role"]
    if account is None:
        return missing(call)
    role = account.item("roles", role_id)
    if role is None:
        return not_found(f"{role_id} (RoleAssignment)")
    if role["type"] == "SUPER_ADMIN" and is_last_super_admin(call, account):
        return error(HTTPStatus.FORBIDDEN, "E0000001", "roleAssignment", [LAST_SUPER_ADMIN])
    account.take("roles", role_id)
    change(call, account, "user.account.privilege.revoke", "Revoke admin privilege")
    return no_content()


def list_devices(call: Call) -> Response:
    """Devices that the user enrolled."""
    if call.account is None:
        return missing(call)
    return ok(
        [
            {"created": d["created"], "deviceUserId": d["id"], "device": d["device"]}
            for d in call.account.parts["devices"]
        ]
    )


def list_app_links(call: Call) -> Response:
    """Application links that the user sees."""
    return ok(call.account.parts["apps"]) if call.account else missing(call)


USER: Final = "/api/v1/users/{user}"
ACCESS_ROUTES: Final = (
    Route("DELETE", f"{USER}/sessions", "sessions", clear_sessions),
    Route("GET", f"{USER}/grants", "grants", list_grants),
    Route("DELETE", f"{USER}/grants", "grants", revoke_grants),
    Route("GET", f"{USER}/clients", "grants", list_clients),
    Route("GET", f"{USER}/clients/{{client}}/tokens", "grants", list_tokens),
    Route("DELETE", f"{USER}/clients/{{client}}/tokens", "grants", revoke_tokens),
    Route("GET", f"{USER}/factors", "factors", list_factors),
    Route("DELETE", f"{USER}/factors/{{factor}}", "factors", delete_factor),
    Route("POST", f"{USER}/lifecycle/reset_factors", "factors", reset_factors),
    Route("GET", f"{USER}/groups", "groups", list_groups),
    Route("GET", "/api/v1/groups", "groups", list_all_groups),
    Route("DELETE", "/api/v1/groups/{group}/users/{user}", "groups", leave_group),
    Route("GET", f"{USER}/roles", "roles", list_roles),
    Route("DELETE", f"{USER}/roles/{{role}}", "roles", remove_role),
    Route("GET", f"{USER}/devices", "devices", list_devices),
    Route("GET", f"{USER}/appLinks", "apps", list_app_links),
)
