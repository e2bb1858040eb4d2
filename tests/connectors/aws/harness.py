"""AWS's peer: a real moto server, with faults put on the wire between the connector and it.

moto 5.2.5 answers 500 to `iam:ListServiceSpecificCredentials`, `iam:SimulatePrincipalPolicy` and
`sso:ListApplicationAssignmentsForPrincipal`; the harness switches the first and the last off by
option, and `test_aws.py` proves all three by scripted dialogue.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.aws.connector import AwsConnector
from connectors.base import ConnectorOptions, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Action, Location, Observation
from lockstep.domain.systems.finding import judge
from tests.connectors.anchors.peers import free_port
from tests.connectors.harness import FaultKind, FaultScript, FaultTransport, Injected
from tests.connectors.revoking import revoke
from tests.support.loopback import loopback

PEER = "moto server, an independent emulation of AWS"
ACCESS_KEY_ID = "AKIALOCKSTEPSYNTHETIC"
SECRET = "synthetic-secret-access-key-of-the-harness"
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
ACCOUNT = "123456789012"  # moto's own account
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
_READS = ("Get", "List", "Describe", "Simulate", "AssumeRole", "Lookup")
_IAM_NS = "https://iam.amazonaws.com/doc/2010-05-08/"

_AS_AWS_SAYS = {
    # fault: (status and code of the query protocol, code of the JSON one, whose status is 400)
    FaultKind.UNAUTHORIZED: (403, "InvalidClientTokenId", "UnrecognizedClientException"),
    FaultKind.FORBIDDEN: (403, "AccessDenied", "AccessDeniedException"),
    FaultKind.RATE_LIMITED_WITH_TIME: (400, "Throttling", "ThrottlingException"),
    FaultKind.RATE_LIMITED_BARE: (400, "Throttling", "ThrottlingException"),
}


Answered = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]
"""One scripted answer of an operation; may raise, as a wire does."""


def operation_of(request: httpx.Request) -> str:
    """What is asked for: both protocols say so."""
    target = request.headers.get("x-amz-target", "").rpartition(".")[2]
    return target or dict(parse_qsl(request.content.decode()))["Action"]


def says(status: int, body: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={"x-amzn-requestid": REQUEST_ID, **headers}, text=body)


def speaks_xml(request: httpx.Request) -> bool:
    return "x-amz-target" not in request.headers


def refusal(request: httpx.Request, code: str, status: int = 400, **headers: str) -> httpx.Response:
    """An error in the service's own protocol."""
    if not speaks_xml(request):
        return says(status, json.dumps({"__type": f"com.aws#{code}", "Message": "no"}), **headers)
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    body = f'<ErrorResponse xmlns="{_IAM_NS}">{error}</ErrorResponse>'
    return says(status, body, **headers)


def empty_success(request: httpx.Request) -> httpx.Response:
    if not speaks_xml(request):
        # The one effect whose success is told by its body.
        return says(200, json.dumps({"AccountAssignmentDeletionStatus": {"Status": "IN_PROGRESS"}}))
    return says_xml("")(request)


def says_json(data: object) -> Answered:
    return lambda _: says(200, json.dumps(data))


def says_xml(result: str) -> Answered:
    """An accepted answer of IAM's: ``result`` is the inside of the result element."""

    def reply(request: httpx.Request) -> httpx.Response:
        name = operation_of(request)
        body = f"<{name}Result>{result}</{name}Result>"
        return says(200, f'<{name}Response xmlns="{_IAM_NS}">{body}</{name}Response>')

    return reply


def refuses(code: str, status: int = 400) -> Answered:
    return lambda request: refusal(request, code, status)


class Trail(httpx.AsyncBaseTransport):
    """CloudTrail by its API reference, which moto has not: the newest first, to the second."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._events = events
        self._moto = loopback()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if operation_of(request) != "LookupEvents":
            return await self._moto.handle_async_request(request)
        asked = json.loads(request.content)
        by = {
            one["AttributeKey"]: one["AttributeValue"] for one in asked.get("LookupAttributes", ())
        }
        found = [
            event
            for event in self._events
            if asked["StartTime"] <= event["EventTime"] <= asked["EndTime"]
            and by.get("Username", event["Username"]) == event["Username"]
        ]
        found.sort(key=lambda event: event["EventTime"], reverse=True)
        begin = int(asked.get("NextToken", 0))
        end = begin + asked["MaxResults"]
        more = {"NextToken": str(end)} if end < len(found) else {}
        return says(200, json.dumps({"Events": found[begin:end], **more}))

    async def aclose(self) -> None:
        await self._moto.aclose()


class AwsWire(FaultTransport):
    """The suite's faults as AWS says them; operations with ``replies`` are not asked of moto.

    The last reply of an operation is repeated. Only AWS checks signatures, so that a ``wrong``
    secret is refused here.
    """

    def __init__(
        self,
        script: FaultScript,
        replies: Mapping[str, Sequence[Answered]],
        *,
        wrong: bool,
        trail: Trail | None = None,
    ) -> None:
        super().__init__(
            script,
            inner=trail,
            rate_limit_headers=lambda wait_s: {"Retry-After": str(wait_s)},
            is_effect=lambda request: not operation_of(request).startswith(_READS),
            name=operation_of,
        )
        self._replies = {operation: list(queue) for operation, queue in replies.items()}
        self._wrong = wrong

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._wrong:
            return refusal(request, "SignatureDoesNotMatch", 403)
        queue = self._replies.get(operation_of(request))
        if queue:
            reply = queue.pop(0) if len(queue) > 1 else queue[0]
            said = reply(request)
            return said if isinstance(said, httpx.Response) else await said
        return await super().handle_async_request(request)

    def _before(self, fault: Injected, request: httpx.Request) -> httpx.Response | None:
        match fault.kind:
            case FaultKind.DONE_NOT:
                return empty_success(request)
            case FaultKind.ECHO_SECRET:
                return refusal(request, SECRET, 500)
            case kind if kind in _AS_AWS_SAYS:
                xml_status, xml_code, json_code = _AS_AWS_SAYS[kind]
                has_time = kind is FaultKind.RATE_LIMITED_WITH_TIME
                wait = {"Retry-After": str(fault.wait_s)} if has_time else {}
                if speaks_xml(request):
                    return refusal(request, xml_code, xml_status, **wait)
                return refusal(request, json_code, **wait)
            case _:
                return super()._before(fault, request)


@dataclass(slots=True)
class MotoServer:
    """One moto server per test process, started by the first who needs it."""

    url: str
    process: subprocess.Popen[bytes]

    @classmethod
    def running(cls) -> MotoServer:
        global _moto  # noqa: PLW0603 - one server per process is the point
        if _moto is None:
            _moto = cls._start()
        return _moto

    @classmethod
    def _start(cls) -> MotoServer:
        port = free_port()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # AWSDenyAll is one of AWS's managed policies; moto loads them only on demand.
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
        )
        log.close()
        server = cls(f"http://127.0.0.1:{port}", process)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return server
        raise RuntimeError("moto did not start")


_moto: MotoServer | None = None


def ended() -> None:
    """Stop moto, if anybody has started it; a test runner may end without any exit handler."""
    if _moto is not None:
        _moto.process.terminate()
        _moto.process.wait(60)


@dataclass(slots=True)
class AwsHarness:
    """AWS users in moto: a worker is an IAM user, an Identity Center user, or both."""

    users: str = "both"
    kind: str = "aws"
    secret: str = SECRET
    script: FaultScript = field(default_factory=FaultScript)
    server: MotoServer = field(default_factory=MotoServer.running)
    iam: Any = None
    sso: Any = None
    store: Any = None
    instance_arn: str = ""
    store_id: str = ""
    permission_set: str = ""
    group_id: str = ""
    opened: list[AwsConnector] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """What CloudTrail holds."""
    logs_refusals: bool = True

    def open(self) -> None:
        """Connect to the peer directly, and make what every worker shares."""
        session = Session()
        given: dict[str, Any] = {
            "region_name": "us-east-1",
            "endpoint_url": self.server.url,
            "aws_access_key_id": "peer",
            "aws_secret_access_key": "peer",
            "config": Config(retries={"total_max_attempts": 1}),
        }
        self.iam = session.create_client("iam", **given)
        self.sso = session.create_client("sso-admin", **given)
        self.store = session.create_client("identitystore", **given)
        instance = self.sso.list_instances()["Instances"][0]
        self.instance_arn, self.store_id = instance["InstanceArn"], instance["IdentityStoreId"]
        shared = f"staff-{time.monotonic_ns()}"
        self.permission_set = self.sso.create_permission_set(
            InstanceArn=self.instance_arn, Name=shared[-32:]
        )["PermissionSet"]["PermissionSetArn"]
        self.group_id = self.store.create_group(IdentityStoreId=self.store_id, DisplayName=shared)[
            "GroupId"
        ]
        if not any(one["GroupName"] == "staff" for one in self.iam.list_groups()["Groups"]):
            self.iam.create_group(GroupName="staff")

    def close(self) -> None:
        for client in (self.iam, self.sso, self.store):
            client.close()

    def connector(
        self,
        *,
        secret: str | None = None,
        replies: Mapping[str, Sequence[Answered]] | None = None,
        access_key_id: str = ACCESS_KEY_ID,
        **settings: object,
    ) -> AwsConnector:
        """A connector whose calls pass through the script.

        ``settings`` override the harness's; ``replies`` answer for moto, operation by operation.
        """
        is_wrong = secret not in (None, SECRET)
        wire = AwsWire(self.script, replies or {}, wrong=is_wrong, trail=Trail(self.events))
        options = ConnectorOptions(
            system="aws-test",
            settings={
                "endpoint_url": self.server.url,
                "users": self.users,
                "employee_number_tag": "employee_number",
                "email_tag": "email",
                "service_credentials": False,  # moto: 500
                "applications": False,  # moto: 500
                "activity_regions": ["us-east-1"],
                **settings,
            },
            secrets={"access_key_id": access_key_id, "secret_access_key": secret or SECRET},
            timeout=timedelta(seconds=10),
        )
        self.opened.append(AwsConnector(options, transport=wire))
        return self.opened[-1]

    async def locate(self, *keys: Key, **options: Any) -> Location:
        return await self.connector(**options).locate(LeaverKeys(keys), Transcript())

    @staticmethod
    async def both(connector: AwsConnector, keys: LeaverKeys) -> tuple[Account, Account]:
        """The IAM user and the Identity Center user."""
        iam, user = (await connector.locate(keys, Transcript())).matches
        return iam.account, user.account

    @staticmethod
    async def close_account(connector: AwsConnector, account: Account) -> tuple[Action, ...]:
        before = await connector.read_back(account, Transcript())
        return await revoke(connector, account, before, Transcript())

    async def hire(self, worker: str) -> LeaverKeys:
        """A user of either kind with every kind of access moto knows."""
        if self.users != "identity_center":
            self._hire_iam(worker)
        if self.users != "iam":
            self._hire_identity_center(worker)
        return LeaverKeys(
            (
                Key(KeyKind.EMPLOYEE_NUMBER, f"E-{worker}"),
                Key(KeyKind.USERNAME, worker),
                Key(KeyKind.EMAIL, f"{worker}@example.test"),
            )
        )

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Asked of moto: any way left to sign in, sign a request, or be assigned."""
        (worker,) = keys.usernames
        iam = self.users != "identity_center" and self.iam_open(worker)
        return iam or (self.users != "iam" and self.store_user(worker) is not None)

    async def give_back(self, keys: LeaverKeys) -> None:
        """Console sign-in and the keys; a deleted Identity Center user comes back with a new id."""
        (worker,) = keys.usernames
        if self.users != "iam" and self.store_user(worker) is None:
            self._hire_identity_center(worker)
        if self.users == "identity_center":
            return
        self.iam.create_login_profile(UserName=worker, Password="Synthetic-1-Passphrase")
        for key in self.secrets(worker)[0]:
            self.iam.update_access_key(
                UserName=worker, AccessKeyId=key["AccessKeyId"], Status="Active"
            )

    async def use(self, keys: LeaverKeys, *, refused: bool, at: datetime) -> None:
        """An IAM user asked for something; a refusal has an error code."""
        (worker,) = keys.usernames
        who = {"type": "IAMUser", "principalId": self.iam_id(worker), "userName": worker}
        self.event(worker, who, at, **({"errorCode": "AccessDenied"} if refused else {}))

    def event(self, name: str, who: Mapping[str, Any], moment: datetime, **more: Any) -> None:
        """Write what CloudTrail would; it knows whole seconds."""
        record = {"userIdentity": who, **more}
        self.events.append(
            {
                "EventId": f"event-{len(self.events)}",
                "EventName": "ListBuckets",
                "EventSource": "s3.amazonaws.com",
                "EventTime": int(moment.timestamp()),
                "Username": name,
                "CloudTrailEvent": json.dumps(record),
            }
        )

    def iam_open(self, worker: str) -> bool:
        """Any live credential of the IAM user, or no deny over the temporary ones."""
        return (
            self._has_login_profile(worker)
            or any(one["Status"] == "Active" for found in self.secrets(worker) for one in found)
            or DENY_ALL not in self.policies(worker)
        )

    def iam_id(self, worker: str) -> str:
        found: str = self.iam.get_user(UserName=worker)["User"]["UserId"]
        return found

    def secrets(self, worker: str) -> tuple[list[dict[str, Any]], ...]:
        """Access keys, SSH keys and signing certificates, dead ones too."""
        return (
            self.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"],
            self.iam.list_ssh_public_keys(UserName=worker)["SSHPublicKeys"],
            self.iam.list_signing_certificates(UserName=worker)["Certificates"],
        )

    def policies(self, worker: str) -> list[str]:
        found = self.iam.list_attached_user_policies(UserName=worker)["AttachedPolicies"]
        return [policy["PolicyArn"] for policy in found]

    def store_user(self, worker: str) -> str | None:
        users = self.store.list_users(
            IdentityStoreId=self.store_id,
            Filters=[{"AttributePath": "UserName", "AttributeValue": worker}],
        )["Users"]
        return users[0]["UserId"] if users else None

    def assignments(self, user_id: str) -> list[dict[str, Any]]:
        found = self.sso.list_account_assignments_for_principal(
            InstanceArn=self.instance_arn, PrincipalId=user_id, PrincipalType="USER"
        )
        return found["AccountAssignments"]

    def _has_login_profile(self, worker: str) -> bool:
        try:
            self.iam.get_login_profile(UserName=worker)
        except ClientError:
            return False
        return True

    def _hire_iam(self, worker: str) -> None:
        self._create_iam_user(worker)
        self.iam.create_login_profile(UserName=worker, Password="Synthetic-1-Passphrase")
        self.iam.create_access_key(UserName=worker)
        self.iam.upload_ssh_public_key(UserName=worker, SSHPublicKeyBody=f"ssh-rsa {worker}")
        self.iam.upload_signing_certificate(UserName=worker, CertificateBody=_certificate())
        device = self.iam.create_virtual_mfa_device(VirtualMFADeviceName=f"{worker}-mfa")
        self.iam.enable_mfa_device(
            UserName=worker,
            SerialNumber=device["VirtualMFADevice"]["SerialNumber"],
            AuthenticationCode1="123456",
            AuthenticationCode2="654321",
        )
        self.iam.add_user_to_group(GroupName="staff", UserName=worker)
        self.iam.attach_user_policy(
            UserName=worker, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
        )
        allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.iam.put_user_policy(UserName=worker, PolicyName="own", PolicyDocument=document)

    def _create_iam_user(self, worker: str) -> None:
        """A user whose id holds a hex digit near its end, so that the suite can alter the id."""
        tags = {"employee_number": f"E-{worker}", "email": f"{worker}@example.test"}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        while True:
            user = self.iam.create_user(UserName=worker, Tags=listed)["User"]
            if set(user["UserId"][-8:]) & set("0123456789abcdef"):
                return
            self.iam.delete_user(UserName=worker)

    def _hire_identity_center(self, worker: str) -> None:
        user_id = self.store.create_user(
            IdentityStoreId=self.store_id,
            UserName=worker,
            DisplayName=worker,
            Name={"GivenName": "Synthetic", "FamilyName": worker},
            Emails=[{"Value": f"{worker}@example.test", "Primary": True}],
        )["UserId"]
        self.store.create_group_membership(
            IdentityStoreId=self.store_id, GroupId=self.group_id, MemberId={"UserId": user_id}
        )
        self.sso.create_account_assignment(
            InstanceArn=self.instance_arn,
            TargetId=ACCOUNT,
            TargetType="AWS_ACCOUNT",
            PermissionSetArn=self.permission_set,
            PrincipalType="USER",
            PrincipalId=user_id,
        )


def kinds(observation: Observation) -> list[AccessKind]:
    return [access.kind for access in observation.standing]


def judged(location: Location, *keys: Key) -> dict[str, str]:
    """What the law says of each account, by its name."""
    cutoff, is_whole = datetime.now(UTC) + timedelta(days=1), location.is_whole
    found = judge(
        location.matches, LeaverKeys(keys), system="aws-test", cutoff=cutoff, is_whole=is_whole
    )
    return {one.match.account.locator: f"{one.verdict}.{one.reason}" for one in found.judged}


@asynccontextmanager
async def aws_harness(users: str = "both") -> AsyncIterator[AwsHarness]:
    """Reuse this process's moto server and yield a harness of its own."""
    made = AwsHarness(users)
    made.open()
    try:
        yield made
    finally:
        made.close()


def harness() -> AbstractAsyncContextManager[AwsHarness]:
    """For the conformance suite, in which a leaver has one account: the IAM user."""
    return aws_harness("iam")


def _certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "synthetic")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
