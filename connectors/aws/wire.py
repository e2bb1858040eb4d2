"""How AWS is spoken to: two protocols, one signer, and the role that is assumed for the calls.

A call's operation (``iam.DeleteLoginProfile``) says where it goes; its body holds the members. IAM
and STS speak the query protocol (a form is sent, XML comes back), Identity Center speaks JSON.
botocore signs and knows the addresses of all partitions; `connectors.http` makes the call.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx

from connectors.aws import spec
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Answer, VendorHttp
from connectors.kit.auth.sigv4 import Keys, MachineKeys, SigV4
from connectors.kit.codecs import Codec
from connectors.kit.instants import told_instant
from connectors.kit.options import Values
from connectors.kit.paths import at
from connectors.kit.steps import attempt
from lockstep.domain.systems.faults import FaultCategory

_OK: Final = frozenset({200})
_MOST_BYTES: Final = 32 * 1024 * 1024
"""A page of a thousand users with their policies."""
_EARLY: Final = timedelta(minutes=10)
_NOT_IN_SESSION_NAME: Final = re.compile(r"[^\w+=,.@-]+", re.ASCII)


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A member as the query protocol writes it: ``Filter.member.1=User``."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _pairs(f"{name}.{key}" if name else key, inner)
        case list():
            for number, inner in enumerate(value, 1):
                yield from _pairs(f"{name}.member.{number}", inner)
        case _:
            yield name, str(value)


def _read_xml(raw: bytes) -> Any:
    """The result of an answer of the query protocol; an error's members as they stand."""
    try:
        root = ET.fromstring(raw)  # noqa: S314 - expat of today bounds entities; AWS alone is asked
    except ET.ParseError:
        raise ValueError("no XML") from None
    if not _tag(root).endswith("Response"):
        raise ValueError("no answer of AWS")  # a proxy's page
    if _tag(root) == "ErrorResponse":
        return _value(root)
    result = next((one for one in root if _tag(one).endswith("Result")), None)
    return _value(result) if result is not None and len(result) else {}


def _value(node: ET.Element) -> Any:
    """Text, members by name, or a list; an empty element is an empty list, which no text is."""
    if not len(node):
        return (node.text or "").strip() or []
    if all(_tag(one) == "member" for one in node):
        return [_value(one) for one in node]
    return {_tag(one): _value(one) for one in node}


def _tag(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]


def _read_json(raw: bytes) -> Any:
    """An answer; an error's type without its namespace: ``com.amazonaws…#AccessDenied:http…``."""
    data = json.loads(raw)
    if isinstance(data, dict) and isinstance(kind := data.get("__type"), str):
        data["__type"] = kind.rpartition("#")[2].partition(":")[0]
    return data


QUERY: Final = Codec(
    "application/x-www-form-urlencoded; charset=utf-8",
    lambda body: urlencode(list(_pairs("", body))).encode(),
    _read_xml,
)
JSON: Final = Codec(
    "application/x-amz-json-1.1", lambda body: json.dumps(body).encode(), _read_json
)


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its name in addresses, and a query protocol's version or a JSON one's target."""

    prefix: str
    version: str = ""
    target: str = ""


SERVICES: Final = {
    "iam": Service("iam", "2010-05-08"),
    "sts": Service("sts", "2011-06-15"),
    "sso-admin": Service("sso", target="SWBExternalService"),
    "cloudtrail": Service(
        "cloudtrail", target="com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"
    ),
    "identitystore": Service("identitystore", target="AWSIdentityStore"),
}


class AwsWire:
    """Sends the calls of one system. See `connectors.kit.calls.Sender`.

    Args:
        values: of the system's options.
        given: what they were read from.
        transport: replaced in tests.
    """

    def __init__(
        self,
        values: Values,
        given: ConnectorOptions,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._values = values
        self._given = given
        self._transport = transport
        pair = values[spec.ACCESS_KEY_ID], values[spec.SECRET_ACCESS_KEY]
        is_given = values[spec.CREDENTIALS] == "keys"
        self._given_keys = Keys(*pair, values[spec.SESSION_TOKEN] or None) if is_given else None
        self._machine_keys = MachineKeys(spec.KIND)
        self._role_keys: Keys | None = None
        self._good_until = datetime.fromtimestamp(0, UTC) + _EARLY
        self._renewing = asyncio.Lock()
        self._opened: dict[tuple[str, str, bool], VendorHttp] = {}
        self._own_id: str | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        transcript: Transcript,
        expect: Collection[int] = _OK,
        params: Mapping[str, str | int] | None = None,
        body: object | None = None,
    ) -> Answer:
        """Make one call, with the role's credential where there is one; AWS pages in the body."""
        del method  # every operation is a POST to the root
        region = path.strip("/")  # of the few that are asked of another one
        members = {**(body if isinstance(body, dict) else {}), **(params or {})}
        if self._values[spec.ROLE_ARN]:
            await self._renew(transcript)
            return await self._send(operation, members, transcript, expect, region=region)
        return await self._send(
            operation, members, transcript, expect, as_source=True, region=region
        )

    async def own_user_id(self, transcript: Transcript) -> str:
        """Whose credential we use: the id of an IAM user, or of a role's session.

        `sts:GetCallerIdentity` needs no permission. With a role it is asked with the credential
        that assumes it: that is the one which would be lost.

        Raises:
            ConnectorFault: it could not be asked; it is asked again next time.
        """
        if self._own_id is None:
            operation = "sts.GetCallerIdentity"
            answer = await self._send(operation, {}, transcript, as_source=True)
            self._own_id = str(need(answer, "UserId"))
        return self._own_id

    async def aclose(self) -> None:
        for http in self._opened.values():
            await http.aclose()

    async def _send(
        self,
        operation: str,
        members: Mapping[str, Any],
        transcript: Transcript,
        expect: Collection[int] = _OK,
        *,
        as_source: bool = False,
        region: str = "",
    ) -> Answer:
        name, _, action = operation.partition(".")
        service = SERVICES[name]
        http = await self._to(service, region, as_source=as_source)
        fixed = {"Action": action, "Version": service.version} if service.version else {}
        target = {} if fixed else {"X-Amz-Target": f"{service.target}.{action}"}
        answer = await http.call(
            "POST",
            "/",
            operation=operation,
            transcript=transcript,
            expect=expect,
            body={**fixed, **members},
            headers=target,
            most=_MOST_BYTES,
        )
        if answer.exchange.request_id is None:
            # A proxy's answer can look like an empty success; AWS signs with an id.
            raise unexpected(operation, "no_request_id")
        return answer

    async def _to(self, service: Service, region: str, *, as_source: bool) -> VendorHttp:
        region = region or self._values[spec.REGION] or "us-east-1"
        place = service.prefix, region, as_source
        if place not in self._opened:
            host, signing_region = await asyncio.to_thread(endpoint, service.prefix, region)
            if not host:
                raise fault(FaultCategory.MISCONFIGURED, f"{service.prefix}.call", "unknown_region")
            error_code = ("Error", "Code") if service.version else ("__type",)
            codec = QUERY if service.version else JSON
            self._opened[place] = VendorHttp(
                replace(spec.DIALECT, error_code=error_code, codec=codec),
                self._values[spec.ENDPOINT_URL] or f"https://{host}",
                headers={},
                secrets=self._values.secrets,
                timeout=self._given.timeout,
                transport=self._transport,
                auth=SigV4(
                    service.prefix, signing_region, self._source_keys if as_source else self._role
                ),
                pace=self._given.pace,
            )
        return self._opened[place]

    async def _source_keys(self) -> Keys:
        return self._given_keys or await self._machine_keys()

    async def _role(self) -> Keys:
        return self._role_keys or await self._source_keys()

    async def _renew(self, transcript: Transcript) -> None:
        """Assume the role, once for all that wait; its credential is renewed before its end."""
        async with self._renewing:
            if datetime.now(UTC) < self._good_until - _EARLY:
                return
            session = f"lockstep-{_NOT_IN_SESSION_NAME.sub('-', self._given.system)}"[:64]
            members = {"RoleArn": self._values[spec.ROLE_ARN], "RoleSessionName": session}
            if self._values[spec.EXTERNAL_ID]:
                members["ExternalId"] = self._values[spec.EXTERNAL_ID]
            operation = "sts.AssumeRole"
            answer = await attempt(self._send(operation, members, transcript, as_source=True))
            if isinstance(answer, ConnectorFault):
                is_denied = answer.category is FaultCategory.PERMISSION_MISSING
                raise answer.lacking("sts:AssumeRole") if is_denied else answer
            given = need(answer, "Credentials")
            until = told_instant(at(given, ("Expiration",)))
            names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
            if until is None or not all(at(given, (name,)) for name in names):
                raise unexpected(operation, "no_credentials", answer.exchange.request_id)
            self._role_keys = Keys(*(str(given[name]) for name in names))
            self._good_until = until


def need(answer: Answer, *path: str) -> Any:
    """A member that AWS always gives; without it, nothing follows from the answer.

    Raises:
        ConnectorFault: `FaultCategory.UNEXPECTED_ANSWER`.
    """
    found = at(answer.data, path)
    if found in (None, "", []):
        made = answer.exchange
        raise unexpected(made.operation, f"no_{path[-1]}", made.request_id)
    return found


def complete(items: list[Any], operation: str, *names: str) -> list[Any]:
    """The items of a list, each with the members that AWS always gives.

    Raises:
        ConnectorFault: `FaultCategory.UNEXPECTED_ANSWER`.
    """
    if any(not item.get(name) for item in items for name in names):
        raise unexpected(operation, "incomplete_item")
    return items


def fault(
    category: FaultCategory, operation: str, code: str, request_id: str | None = None
) -> ConnectorFault:
    """A fault that we decided."""
    return ConnectorFault(
        category, connector=spec.KIND, operation=operation, code=code, request_id=request_id
    )


def unexpected(operation: str, code: str, request_id: str | None = None) -> ConnectorFault:
    return fault(FaultCategory.UNEXPECTED_ANSWER, operation, code, request_id)


@functools.cache
def endpoint(prefix: str, region: str) -> tuple[str, str]:
    """Host and signing region, in any partition; no host for a region that is none."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - at the first call, in a thread
    from botocore.regions import EndpointResolver  # noqa: PLC0415 - as above

    resolver: Any = EndpointResolver(create_loader().load_data("endpoints"))
    found = resolver.construct_endpoint(prefix, region) or {}
    scope = found.get("credentialScope", {})
    return str(found.get("hostname", "")), str(scope.get("region", region))
