"""Anchor ``s3``: a bucket whose objects nobody can remove before their time, not even its owner.

Object lock in compliance mode, one object per checkpoint (Amazon S3 User Guide, "Locking objects
with Object Lock"). A bucket without object lock is refused: a copy there could be replaced.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore import exceptions

from connectors.anchors.base import (
    ANSWER_S,
    CA_FILE,
    CONNECT_S,
    MAX_NOTE,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    AnchorUnfit,
    OwnThread,
    redacted,
)
from connectors.base import OptionSpec
from connectors.http import require_safe_url

if TYPE_CHECKING:
    from botocore.session import Session

KIND = "s3"
_LONGEST_DAYS = 36_500
_MODE = "COMPLIANCE"
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_PREFIX = re.compile(r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_UNKNOWN_CALLS = frozenset({"NotImplemented", "MethodNotAllowed"})
_NO_OBJECT_LOCK = "this store cannot do object lock: use another one, or another kind of anchor"
_KEY_TROUBLE = "KMS."
"""Codes of the key service begin so, by way of S3."""
_WRONG_ENCRYPTION = "InvalidEncryptionAlgorithmError"
_PASSING = frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout"})
_MISSING = frozenset({"NoSuchKey", "404"})
_TAKEN = "PreconditionFailed"
_NO_CONDITIONS = "NotImplemented"
_NO_LOCK = "ObjectLockConfigurationNotFoundError"


@dataclass(frozen=True, slots=True)
class _Copy:
    """An object as the bucket gives it back."""

    body: bytes
    version_id: str
    etag: str
    mode: str
    until: datetime | None


class S3Anchor:
    """One bucket of any S3-compatible store, spoken to by botocore in a thread."""

    def __init__(self, options: AnchorOptions) -> None:
        self._bucket = options.text("bucket")
        if not _BUCKET.fullmatch(self._bucket):
            raise ValueError("bucket: this is no bucket's name")
        self._prefix = options.text("prefix")
        if not _PREFIX.fullmatch(self._prefix):
            raise ValueError("prefix: use letters, digits and ._- between single slashes")
        self._days = options.number("retention_days", low=1, high=_LONGEST_DAYS)
        self._region = options.text("region")
        endpoint = options.text("endpoint_url")
        self._endpoint = require_safe_url(endpoint, option="endpoint_url") if endpoint else None
        self._encryption = _encryption(options)
        self._ca_file = options.file("ca_file")
        self._keys = _keys(options)
        self._thread = OwnThread(options.name)
        self._made = threading.Lock()
        self._client: Any = None
        self._is_locking = False

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        return await self._thread.run(self._publish, checkpoint)

    async def aclose(self) -> None:
        self._thread.close()
        with self._made:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        key = f"{self._prefix}/{checkpoint.safe_origin}/{checkpoint.size}.txt"
        try:
            self._require_lock()
            copy = self._read(key) or self._add(key, checkpoint)
            return self._receipt(key, checkpoint, copy)
        except exceptions.ClientError as error:
            fault = self._refusal(error)
        except exceptions.BotoCoreError as error:
            fault = AnchorFault(type(error).__name__, transient=not _is_ours(error))
        except (LookupError, TypeError, ValueError, AttributeError):
            # botocore's parsers fail in all these ways on a page that is not S3's.
            fault = AnchorFault("the answer is not one of S3")
        raise fault  # here, not above: botocore's exception quotes the answer as its context

    def _require_lock(self) -> None:
        """Object lock cannot be switched off again, so that one look is enough."""
        if self._is_locking:
            return
        try:
            answer = self._open().get_object_lock_configuration(Bucket=self._bucket)
        except exceptions.ClientError as error:
            if _code(error) != _NO_LOCK:
                raise
            answer = {}
        state = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        if state != "Enabled":
            raise AnchorFault(
                "the bucket has no object lock: make one with it enabled", transient=False
            )
        self._is_locking = True

    def _add(self, key: str, checkpoint: AnchorCheckpoint) -> _Copy:
        """Add the object unless somebody was faster; then what it holds is what counts."""
        wanted: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": checkpoint.note,
            "ContentType": "text/plain; charset=utf-8",
            # Object lock wants a checksum; this is the one that every store knows.
            "ContentMD5": _md5(checkpoint.note),
            "ObjectLockMode": _MODE,
            "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=self._days),
            **self._encryption,
        }
        try:
            answer = self._open().put_object(**wanted, IfNoneMatch="*")
        except exceptions.ClientError as error:
            match _code(error):
                case code if code == _TAKEN:
                    answer = {}
                case code if code == _NO_CONDITIONS:
                    # Versions do it too: the first one stays whatever is written over it.
                    answer = self._open().put_object(**wanted)
                case _:
                    raise
        # Accepted is not proven: some stores ignore a lock that they do not know.
        if (copy := self._read(key, answer.get("VersionId"))) is None:
            raise AnchorFault("the object was accepted and is not there")
        return copy

    def _read(self, key: str, version_id: str | None = None) -> _Copy | None:
        version = {"VersionId": version_id} if version_id else {}
        try:
            answer = self._open().get_object(Bucket=self._bucket, Key=key, **version)
        except exceptions.ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise
        return _Copy(
            body=answer["Body"].read(MAX_NOTE),
            version_id=str(answer.get("VersionId", "")),
            etag=str(answer.get("ETag", "")).strip('"'),
            mode=str(answer.get("ObjectLockMode", "")),
            until=answer.get("ObjectLockRetainUntilDate"),
        )

    def _receipt(self, key: str, checkpoint: AnchorCheckpoint, copy: _Copy) -> bytes:
        if copy.body != checkpoint.note:
            raise AnchorConflict(f"{checkpoint.size}.txt holds another checkpoint")
        if copy.mode != _MODE or copy.until is None:
            raise AnchorFault(
                "the object is not locked, or s3:GetObjectRetention is missing", transient=False
            )
        receipt = {
            "bucket": self._bucket,
            "etag": copy.etag,
            "key": key,
            "retain_until": copy.until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "version_id": copy.version_id,
        }
        return json.dumps(receipt, sort_keys=True).encode() + b"\n"

    def _refusal(self, error: exceptions.ClientError) -> AnchorFault:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        told = f"{error.operation_name}: {status} {_code(error)}"
        told = redacted(told, self._keys or ())
        if error.operation_name == "PutObject" and (hint := self._about_encryption(error)):
            is_final = _is_unknown(error) or _code(error) == _WRONG_ENCRYPTION
            says = f"{told}: {hint}"
            return AnchorUnfit(says) if is_final else AnchorFault(says, transient=False)
        if _is_unknown(error):
            return AnchorUnfit(f"{told}: {_NO_OBJECT_LOCK}")
        return AnchorFault(told, transient=status >= _SERVER_ERROR or _code(error) in _PASSING)

    def _about_encryption(self, error: exceptions.ClientError) -> str:
        """What to change where a store refuses to encrypt; "" where that is not why.

        The bucket has said that it can lock: what it cannot do to an object is to encrypt it.
        """
        code, kind = _code(error), self._encryption.get("ServerSideEncryption")
        if kind is None:
            return ""
        if _is_unknown(error) or code == _WRONG_ENCRYPTION:
            return f'it cannot encrypt by {kind}: set encryption = "none", or give it a key service'
        if code.startswith(_KEY_TROUBLE) and "Throttling" not in code:
            return (
                "correct kms_key_id: a key of the bucket's region that is enabled and ours to use"
            )
        if code == "AccessDenied" and kind == "aws:kms":
            return "allow s3:PutObject, and kms:GenerateDataKey and kms:Decrypt with kms_key_id"
        return ""

    def _open(self) -> Any:
        """The client; made on first use, because botocore takes a fifth of a second to load."""
        with self._made:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - see `_open`

        build: Any = Config  # the stubs lack the newest arguments
        config = build(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="lockstep",
            request_checksum_calculation="when_required",
            # An AWS_ENDPOINT_URL in the environment must not redirect our credential.
            ignore_configured_endpoint_urls=True,
            # Other stores than AWS rarely have a name per bucket.
            s3={"addressing_style": "path"} if self._endpoint else {},
        )
        create: Any = self._session().create_client
        return create(
            "s3",
            region_name=self._region,
            endpoint_url=self._endpoint,
            verify=str(self._ca_file) if self._ca_file else None,
            config=config,
        )

    def _session(self) -> Session:
        from botocore.session import Session  # noqa: PLC0415 - see `_open`

        # botocore's debug log holds signed headers and whole answers.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        if self._keys is None:
            return Session()
        # With our own keys no profile of the machine is read.
        nothing = (None, None, None, None)
        no_file = (None, None, os.devnull, None)
        own: Any = {"profile": nothing, "config_file": no_file, "credentials_file": no_file}
        session = Session(session_vars=own)
        access_key, secret_key, token = self._keys
        session.set_credentials(access_key, secret_key, token or None)
        return session


def _keys(options: AnchorOptions) -> tuple[str, str, str] | None:
    if options.text("credentials") == "default":
        return None
    for name in ("access_key_id", "secret_access_key"):
        if not options.secret(name):
            raise ValueError(f'{name}: missing; or set credentials = "default"')
    names = ("access_key_id", "secret_access_key", "session_token")
    access_key, secret_key, token = map(options.secret, names)
    return access_key, secret_key, token


def _encryption(options: AnchorOptions) -> dict[str, str]:
    kind, key = options.text("encryption"), options.text("kms_key_id")
    if key and kind != "aws:kms":
        raise ValueError('kms_key_id: needs encryption = "aws:kms"')
    if kind == "none":
        return {}
    return {"ServerSideEncryption": kind, **({"SSEKMSKeyId": key} if key else {})}


def _md5(content: bytes) -> str:
    digest = hashlib.md5(content, usedforsecurity=False).digest()  # what we read back counts
    return base64.b64encode(digest).decode()


def _is_unknown(error: exceptions.ClientError) -> bool:
    """Whether the store does not know what it was asked for."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == _NOT_IMPLEMENTED or _code(error) in _UNKNOWN_CALLS


def _code(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_ours(error: exceptions.BotoCoreError) -> bool:
    """Whether no call was made, because of what we were given."""
    return isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.ParamValidationError
        | exceptions.ProfileNotFound,
    )


MANIFEST = AnchorManifest(
    kind=KIND,
    build=S3Anchor,
    options=(
        OptionSpec("bucket", "bucket with object lock, best in an account that others own"),
        OptionSpec("retention_days", "days for which nobody can remove a copy; no way back"),
        OptionSpec("region", "the bucket's region", required=False, default="us-east-1"),
        OptionSpec("prefix", "beginning of every key", required=False, default="lockstep"),
        OptionSpec(
            "encryption",
            "server-side encryption",
            required=False,
            default="AES256",
            choices=("AES256", "aws:kms", "none"),
        ),
        OptionSpec("kms_key_id", "key for aws:kms", required=False, default=""),
        OptionSpec(
            "credentials",
            "keys: the secrets below; default: the machine's own role or profile",
            required=False,
            default="keys",
            choices=("keys", "default"),
        ),
        OptionSpec("access_key_id", "access key", required=False, secret=True),
        OptionSpec("secret_access_key", "its secret", required=False, secret=True),
        OptionSpec("session_token", "for temporary credentials", required=False, secret=True),
        OptionSpec("endpoint_url", "another store than AWS", required=False, default=""),
        CA_FILE,
    ),
    proves="until the retention ends nobody can remove or replace a copy, the owner included",
)
