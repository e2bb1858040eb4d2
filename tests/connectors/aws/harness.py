"""AWS's peer: a real moto server, with faults put on the wire between botocore and it.

moto 5.2.5 answers 500 to `iam:ListServiceSpecificCredentials`, `iam:SimulatePrincipalPolicy` and
`sso:ListApplicationAssignmentsForPrincipal`; the harness switches the first and the last off by
option, and `test_aws.py` proves all three by scripted dialogue.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.aws.connector import AwsConnector
from connectors.base import ConnectorOptions
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.anchors.peers import free_port
from tests.connectors.harness import FaultKind, FaultScript, Injected

ACCESS_KEY_ID = "AKIALOCKSTEPSYNTHETIC"
SECRET = "synthetic-secret-access-key-of-the-harness"
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
ACCOUNT = "123456789012"  # moto's own account
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
_READS = ("Get", "List", "Describe", "Simulate", "AssumeRole")
_IAM_NS = "https://iam.amazonaws.com/doc/2010-05-08/"

_AS_AWS_SAYS = {
    # fault: (query status, query code, JSON status, JSON code)
    FaultKind.UNAUTHORIZED: (403, "InvalidClientTokenId", 400, "UnrecognizedClientException"),
    FaultKind.FORBIDDEN: (403, "AccessDenied", 400, "AccessDeniedException"),
    FaultKind.RATE_LIMITED_WITH_TIME: (400, "Throttling", 400, "ThrottlingException"),
    FaultKind.RATE_LIMITED_BARE: (400, "Throttling", 400, "ThrottlingException"),
}


class _Body(io.BytesIO):
    """What `AWSResponse` reads its content from."""

    def stream(self) -> Any:
        yield self.read()


def answer(
    request: AWSPreparedRequest,
    status: int,
    body: str,
    *,
    headers: dict[str, str] | None = None,
    request_id: str | None = REQUEST_ID,
) -> AWSResponse:
    """A scripted answer, as `before-send` returns it in place of the wire."""
    identified = {"x-amzn-requestid": request_id} if request_id else {}
    return AWSResponse(request.url, status, {**identified, **(headers or {})}, _Body(body.encode()))


def speaks_xml(event_name: str) -> bool:
    return event_name.split(".")[1] in {"iam", "sts"}


def refusal(
    request: AWSPreparedRequest,
    event_name: str,
    code: str,
    *,
    status: int = 400,
    headers: dict[str, str] | None = None,
) -> AWSResponse:
    """An error in the service's own protocol."""
    if speaks_xml(event_name):
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
        body = f'<ErrorResponse xmlns="{_IAM_NS}">{error}</ErrorResponse>'
        return answer(request, status, body, headers=headers)
    return answer(request, status, json.dumps({"__type": code, "Message": "no"}), headers=headers)


def empty_success(request: AWSPreparedRequest, event_name: str) -> AWSResponse:
    operation = event_name.split(".")[2]
    if not speaks_xml(event_name):
        # The one effect whose success is told by its body.
        begun = {"AccountAssignmentDeletionStatus": {"Status": "IN_PROGRESS"}}
        return answer(request, 200, json.dumps(begun))
    body = f'<{operation}Response xmlns="{_IAM_NS}"><{operation}Result/></{operation}Response>'
    return answer(request, 200, body)


class FaultWire:
    """`FaultTransport` for botocore: a `before-send` handler with the same script.

    Handlers run in the connector's threads, so taking a fault is locked.
    """

    def __init__(self, script: FaultScript, *, secret: str = SECRET) -> None:
        self._script = script
        self._secret = secret
        self._lock = threading.Lock()
        self._inner = URLLib3Session(timeout=20)

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        if self._secret != SECRET:  # moto checks no signature; AWS does
            return refusal(request, event_name, "SignatureDoesNotMatch", status=403)
        operation = event_name.split(".")[2]
        effect = not operation.startswith(_READS)
        with self._lock:
            self._script.calls.append(effect)
            fault = self._script.next_for(is_effect=effect)
        if fault is not None and (said := self._before(fault, request, event_name)) is not None:
            return said
        response = self._inner.send(request)
        response.headers.update(self._script.date())
        with self._lock:
            if effect:
                self._script.effects.append(operation)
        if fault is not None and fault.kind is FaultKind.LOST_AFTER:
            raise _lost(request)
        return response

    def _before(
        self, fault: Injected, request: AWSPreparedRequest, event_name: str
    ) -> AWSResponse | None:
        match fault.kind:
            case FaultKind.SERVER_ERROR:
                return answer(request, 503, "<html>down</html>", request_id=None)
            case FaultKind.NOT_JSON:
                return answer(request, 200, "<html>a proxy</html>", request_id=None)
            case FaultKind.LOST_BEFORE:
                raise _lost(request)
            case FaultKind.LOST_AFTER:
                return None
            case FaultKind.DONE_NOT:
                return empty_success(request, event_name)
            case FaultKind.ECHO_SECRET:
                return refusal(request, event_name, SECRET, status=500)
            case _:
                xml_status, xml_code, status, code = _AS_AWS_SAYS[fault.kind]
                has_time = fault.kind is FaultKind.RATE_LIMITED_WITH_TIME
                headers = {"Retry-After": str(fault.wait_s)} if has_time else None
                if speaks_xml(event_name):
                    status, code = xml_status, xml_code
                return refusal(request, event_name, code, status=status, headers=headers)


Reply = Callable[[AWSPreparedRequest, str], AWSResponse]


class Scripted:
    """Answers for moto what it cannot; the last reply of an operation is repeated.

    Everything else goes to the real server.
    """

    def __init__(self, wire: FaultWire, replies: Mapping[str, Sequence[Reply]]) -> None:
        self._wire = wire
        self._replies = {operation: list(queue) for operation, queue in replies.items()}
        self._lock = threading.Lock()

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        with self._lock:
            queue = self._replies.get(event_name.split(".")[2])
            reply = None if not queue else queue.pop(0) if len(queue) > 1 else queue[0]
        return reply(request, event_name) if reply else self._wire(request, event_name)


def says_json(data: object) -> Reply:
    return lambda request, _: answer(request, 200, json.dumps(data))


def says_xml(result: str) -> Reply:
    """An accepted answer of IAM's: ``result`` is the inside of the result element."""

    def reply(request: AWSPreparedRequest, event_name: str) -> AWSResponse:
        name = event_name.split(".")[2]
        body = f"<{name}Result>{result}</{name}Result>"
        return answer(request, 200, f'<{name}Response xmlns="{_IAM_NS}">{body}</{name}Response>')

    return reply


def refuses(code: str, *, status: int = 400) -> Reply:
    return lambda request, event_name: refusal(request, event_name, code, status=status)


def _lost(request: AWSPreparedRequest) -> ConnectionClosedError:
    return ConnectionClosedError(error="lost", request=request, endpoint_url=request.url)


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

    @staticmethod
    def ended() -> None:
        """Stop it, if anybody has started it; a test runner may end without any exit handler."""
        if _moto is not None:
            _moto.process.terminate()
            _moto.process.wait(60)


_moto: MotoServer | None = None


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
        replies: Mapping[str, Sequence[Reply]] | None = None,
        access_key_id: str = ACCESS_KEY_ID,
        **settings: object,
    ) -> AwsConnector:
        """A connector whose calls pass through the script.

        ``settings`` override the harness's; ``replies`` answer for moto, operation by operation.
        """
        wire = FaultWire(self.script, secret=secret or SECRET)
        options = ConnectorOptions(
            system="aws-test",
            settings={
                "endpoint_url": self.server.url,
                "users": self.users,
                "employee_number_tag": "employee_number",
                "email_tag": "email",
                "service_credentials": False,  # moto: 500
                "applications": False,  # moto: 500
                **settings,
            },
            secrets={"access_key_id": access_key_id, "secret_access_key": secret or SECRET},
            timeout=timedelta(seconds=10),
        )
        return AwsConnector(options, before_send=Scripted(wire, replies) if replies else wire)

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
        for key in self.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"]:
            self.iam.update_access_key(
                UserName=worker, AccessKeyId=key["AccessKeyId"], Status="Active"
            )

    def iam_open(self, worker: str) -> bool:
        """Any live credential of the IAM user, or no deny over the temporary ones."""
        lists = (
            self.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"],
            self.iam.list_ssh_public_keys(UserName=worker)["SSHPublicKeys"],
            self.iam.list_signing_certificates(UserName=worker)["Certificates"],
        )
        attached = self.iam.list_attached_user_policies(UserName=worker)["AttachedPolicies"]
        return (
            self._has_login_profile(worker)
            or any(one["Status"] == "Active" for found in lists for one in found)
            or DENY_ALL not in [policy["PolicyArn"] for policy in attached]
        )

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
