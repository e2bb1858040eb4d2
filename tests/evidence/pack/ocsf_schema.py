"""What OCSF asks of the classes that we write: its own schema where that comes as a package.

`ocsf-json-schema` has the schemas of releases up to 1.8.0. For 1.9.0 the rules are transcribed from
the schema's files (https://github.com/ocsf/ocsf-schema, Apache-2.0, main at 2026-07-23): ids, names
and requirements; where a value is a closed set, only the part that we use. The same is transcribed
for 1.8.0, so that a test can hold the transcription against the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchema, get_ocsf_schema, get_packaged_versions
from referencing import Registry, Resource

RELEASED = frozenset(get_packaged_versions())
"""Versions whose own schema is at hand."""

EVENT = {
    *("activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"),
}
"""Required of every event."""

MAY = {
    *("activity_name", "category_name", "class_name", "type_name", "count", "start_time"),
    *("end_time", "message", "raw_data_hash", "severity", "status", "status_code", "status_id"),
    *("timezone_offset", "unmapped"),
}
"""Allowed in every event, as far as we use it."""

CLASSES: Mapping[str, Mapping[int, tuple[str, set[str], set[str], Mapping[int, str]]]] = {
    "1.9.0": {
        2003: (
            "Compliance Finding",
            {"compliance", "finding_info"},
            {"evidences", "resources"},
            {1: "Create"},
        ),
        3002: ("Authentication", {"user"}, {"actor", "session", "service"}, {2: "Logoff"}),
        3004: ("Entity Management", {"entity"}, {"actor"}, {9: "Disable"}),
        3006: ("Group Management", {"group"}, {"actor", "users"}, {4: "Remove User"}),
        3007: (
            "User Management",
            {"user"},
            {"actor", "auth_factors", "iam_roles", "privileges", "resources"},
            {
                5: "Disable",
                13: "Disable MFA Factors",
                15: "Remove Privileges",
                17: "Remove Roles",
                19: "Remove Programmatic Credentials",
            },
        ),
    },
    "1.8.0": {
        2003: (
            "Compliance Finding",
            {"compliance", "finding_info"},
            {"evidences", "resources"},
            {1: "Create"},
        ),
        3001: (
            "Account Change",
            {"user"},
            {"actor", "auth_factors"},
            {5: "Disable", 11: "MFA Factor Disable"},
        ),
        3002: ("Authentication", {"user"}, {"actor", "session", "service"}, {2: "Logoff"}),
        3004: ("Entity Management", {"entity"}, {"actor"}, {4: "Delete", 9: "Disable"}),
        3005: (
            "User Access Management",
            {"user", "privileges"},
            {"actor", "resources"},
            {2: "Revoke Privileges"},
        ),
        3006: ("Group Management", {"group"}, {"actor", "user"}, {4: "Remove User"}),
    },
}
"""Class to (name, required, allowed, activities)."""

CATEGORIES = {2: "Findings", 3: "Identity & Access Management"}

OBJECTS: Mapping[str, tuple[set[str], set[str], set[str]]] = {
    "metadata": (
        {"product", "version"},
        {
            *("correlation_uid", "event_code", "log_name", "logged_time", "original_time"),
            *("sequence", "tenant_uid", "uid"),
        },
        set(),
    ),
    "product": (set(), {"name", "vendor_name"}, {"name", "uid"}),
    "actor": (set(), {"app_name"}, {"app_name", "user", "process"}),
    "user": (
        set(),
        {"uid", "type", "type_id", "domain", "account", "programmatic_credentials"},
        {"account", "name", "uid"},
    ),
    "users": (set(), {"uid", "type", "type_id", "domain", "account"}, {"account", "name", "uid"}),
    "account": (set(), {"name", "uid"}, {"name", "uid"}),
    "programmatic_credentials": ({"uid"}, {"type"}, set()),
    "auth_factors": ({"factor_type_id"}, {"factor_type", "provider"}, set()),
    "iam_roles": (set(), {"name", "uid"}, {"name", "uid"}),
    "group": (set(), {"name", "uid", "domain"}, {"name", "uid"}),
    "session": (set(), {"uid"}, set()),
    "service": (set(), {"name", "uid"}, {"name", "uid"}),
    "entity": (set(), {"uid", "name", "type", "type_id", "user"}, {"name", "uid", "user"}),
    "resources": (set(), {"name", "uid", "type"}, {"name", "uid"}),
    "raw_data_hash": ({"algorithm_id", "value"}, {"algorithm"}, set()),
    "compliance": (
        set(),
        {
            *("checks", "control", "requirements", "standards", "status", "status_code"),
            *("status_details", "status_id"),
        },
        set(),
    ),
    "checks": (set(), {"name", "uid", "desc", "status", "status_id"}, set()),
    "finding_info": ({"uid"}, {"title", "types", "created_time"}, set()),
    "evidences": (set(), {"name", "data", "user"}, {"actor", "data", "user"}),
}
"""Object, by the name of the member that holds it, to (required, allowed, at least one of)."""

ENUMS: Mapping[str, Mapping[int, str]] = {
    "severity": {1: "Informational", 2: "Low", 3: "Medium", 4: "High"},
    "compliance.status": {1: "Pass", 2: "Warning", 3: "Fail", 99: ""},
    "checks.status": {1: "Pass", 2: "Warning", 3: "Fail"},
    "user.type": {1: "User"},
    "users.type": {1: "User"},
    "entity.type": {1: "Device", 99: ""},
    "auth_factors.factor_type": {0: "Unknown"},
    "raw_data_hash.algorithm": {3: "SHA-256", 99: ""},
}
"""Closed sets by the member's path without ``_id``; "" where the label is the source's own."""

_OPEN = {"unmapped", "data"}
_LISTS = {
    *("users", "programmatic_credentials", "auth_factors", "iam_roles", "resources", "checks"),
    *("evidences", "privileges", "requirements", "standards", "status_details", "types"),
}


def faults(event: Mapping[str, Any], version: str) -> list[str]:
    """Everything in which an event is not as the schema asks."""
    official = official_faults(event, version) if version in RELEASED else []
    return official + transcribed_faults(event, version)


def official_faults(event: Mapping[str, Any], version: str) -> list[str]:
    """What the schema of a released version has against an event, without any profile."""
    schema = official(version)
    try:
        name = schema.lookup_class_name_from_uid(event.get("class_uid", 0))
    except ValueError as error:
        return [str(error)]
    registry: Registry[Any] = Registry(retrieve=lambda uri: _resource(schema, uri))
    validator = Draft202012Validator(schema.get_class_schema(name), registry=registry)
    return [f"{name}{one.json_path[1:]}: {one.message}" for one in validator.iter_errors(event)]


@cache
def official(version: str) -> OcsfJsonSchema:
    """The schema of a released version."""
    return OcsfJsonSchema(get_ocsf_schema(version))


def _resource(schema: OcsfJsonSchema, uri: str) -> Resource[Any]:
    return Resource.from_contents(schema.get_schema_from_uri(uri))


def transcribed_faults(event: Mapping[str, Any], version: str) -> list[str]:
    """What the transcription has against an event: also names that belong to numbers."""
    known = CLASSES[version].get(event.get("class_uid", 0))
    if known is None:
        return [f"no class {event.get('class_uid')} in {version}"]
    name, required, allowed, activities = known
    found = list(_members(event, EVENT | required, MAY | allowed, set(), name))
    activity = event.get("activity_id")
    if activity not in activities or event.get("activity_name") != activities[activity]:
        found.append(f"{name}: activity {activity}")
    if event.get("type_uid") != event["class_uid"] * 100 + (activity or 0):
        found.append(f"{name}: type_uid")
    category = event["class_uid"] // 1000
    if (event.get("category_uid"), event.get("category_name")) != (category, CATEGORIES[category]):
        found.append(f"{name}: category")
    if event.get("metadata", {}).get("version") != version:
        found.append(f"{name}: version")
    status = {1: "New"} if category == 2 else {1: "Success"}
    found += _enum(event, "status", status, name)
    found += _enum(event, "severity", ENUMS["severity"], name)
    return found + list(_inside(event, name))


def _members(
    value: Mapping[str, Any], required: set[str], allowed: set[str], some: set[str], path: str
) -> Iterator[str]:
    yield from (f"{path}: {member} is missing" for member in required - value.keys())
    yield from (f"{path}: {member} is unknown" for member in value.keys() - required - allowed)
    if some and not some & value.keys():
        yield f"{path}: none of {sorted(some)}"


def _inside(value: Mapping[str, Any], path: str) -> Iterator[str]:
    for member, held in value.items():
        if isinstance(held, list) != (member in _LISTS) and member not in _OPEN:
            yield f"{path}: {member} is a list or should be one"
        if isinstance(held, list) and not held:
            yield f"{path}: {member} is empty"
        for one in held if isinstance(held, list) else [held]:
            if isinstance(one, dict) and member not in _OPEN:
                yield from _members(one, *OBJECTS[member], f"{path}.{member}")
                for label, names in ENUMS.items():
                    holder, _, leaf = label.partition(".")
                    if holder == member:
                        yield from _enum(one, leaf, names, f"{path}.{member}")
                yield from _inside(one, f"{path}.{member}")
            elif not isinstance(one, str | int | dict):
                yield f"{path}: {member} is no plain value"


def _enum(
    value: Mapping[str, Any], label: str, names: Mapping[int, str], path: str
) -> Iterator[str]:
    number = value.get(f"{label}_id")
    if number is None:
        return
    if number not in names:
        yield f"{path}: {label}_id {number}"
    elif not value.get(label) or names[number] not in {"", value[label]}:
        yield f"{path}: {label} is not the name of {number}"
