"""The anchor ``s3``: a locked object in a real moto server's bucket, read back before it counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from connectors.anchors.base import AnchorConflict, AnchorFault, AnchorUnfit
from tests.connectors.anchors.peers import SECRET, Asked, Authority, HttpPeer, build, checkpoint
from tests.connectors.aws.harness import MotoServer

KEYS = {"access_key_id": "AKIALOCKSTEPSYNTHETIC", "secret_access_key": SECRET}
KEY = "lockstep/acme_lockstep-ledger/7.txt"


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """The bucket's owner."""
    session = Session()
    session.set_credentials(KEYS["access_key_id"], SECRET)
    made = session.create_client(
        "s3", region_name="us-east-1", endpoint_url=MotoServer.running().url
    )
    yield made
    made.close()


@pytest.fixture
def bucket(s3) -> str:
    name = f"copies-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
async def anchor(tmp_path, bucket):
    made = anchor_to(MotoServer.running().url, tmp_path, bucket=bucket)
    yield made
    await made.aclose()


def anchor_to(url: str, home, **settings: object):
    given = {"bucket": "copies", "retention_days": 400, "endpoint_url": url, **settings}
    return build("s3", given, KEYS, home=home)


def versions(s3, bucket: str) -> list[str]:
    listed = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    return [version["Key"] for version in listed]


async def test_the_bucket_holds_the_note_locked(anchor, s3, bucket):
    """Compliance mode, for the days that were asked for; the receipt names the version."""
    receipt = json.loads(await anchor.publish(checkpoint(7)))
    found = s3.get_object(Bucket=bucket, Key=KEY, VersionId=receipt["version_id"])

    assert found["Body"].read() == checkpoint(7).note
    assert found["ObjectLockMode"] == "COMPLIANCE"
    left = found["ObjectLockRetainUntilDate"] - datetime.now(UTC)
    assert timedelta(days=399) < left <= timedelta(days=400)
    assert found["ServerSideEncryption"] == "AES256"
    assert (receipt["bucket"], receipt["key"]) == (bucket, KEY)
    assert receipt["etag"] == found["ETag"].strip('"')


async def test_the_owner_cannot_remove_it(anchor, s3, bucket):
    """This is what the copy is for."""
    receipt = json.loads(await anchor.publish(checkpoint(7)))
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(
            Bucket=bucket,
            Key=KEY,
            VersionId=receipt["version_id"],
            BypassGovernanceRetention=True,
        )


async def test_the_same_checkpoint_again_makes_no_version(anchor, s3, bucket):
    """A repetition finds the first one and gives its receipt."""
    first = await anchor.publish(checkpoint(7))

    assert await anchor.publish(checkpoint(7)) == first
    assert versions(s3, bucket) == [KEY]


async def test_another_checkpoint_of_the_same_size_is_a_conflict(anchor, s3, bucket):
    """What stands stays the only version."""
    await anchor.publish(checkpoint(7))
    with pytest.raises(AnchorConflict, match=r"7\.txt holds another checkpoint"):
        await anchor.publish(checkpoint(7, root=b"\x02" * 32))

    assert versions(s3, bucket) == [KEY]


async def test_who_was_slower_finds_the_other_one(anchor, s3, bucket, monkeypatch, tmp_path):
    """Between the look and the write somebody else wrote: nothing is written over it."""
    other = anchor_to(MotoServer.running().url, tmp_path, bucket=bucket)
    look = anchor._read

    def slow(key: str, version_id: str | None = None):
        found = look(key, version_id)
        monkeypatch.setattr(anchor, "_read", look)
        other._publish(checkpoint(7, root=b"\x02" * 32))
        return found

    monkeypatch.setattr(anchor, "_read", slow)
    with pytest.raises(AnchorConflict):
        await anchor.publish(checkpoint(7))
    await other.aclose()

    assert versions(s3, bucket) == [KEY]


async def test_a_bucket_without_object_lock_is_refused(tmp_path, s3):
    """A copy that can be replaced proves nothing; the fault says what to do."""
    s3.create_bucket(Bucket="unlocked")
    anchor = anchor_to(MotoServer.running().url, tmp_path, bucket="unlocked")
    with pytest.raises(AnchorFault, match="no object lock: make one with it enabled") as caught:
        await anchor.publish(checkpoint(7))
    await anchor.aclose()

    assert not caught.value.transient
    assert versions(s3, "unlocked") == []


async def test_an_object_that_lost_its_lock_is_refused(tmp_path, anchor, s3, bucket):
    """The right content without a lock can be removed tomorrow."""
    s3.put_object(Bucket=bucket, Key=KEY, Body=checkpoint(7).note)
    with pytest.raises(AnchorFault, match="not locked") as caught:
        await anchor.publish(checkpoint(7))

    assert not caught.value.transient


async def test_a_missing_bucket_needs_a_person(tmp_path):
    """The code of the store is told, its text is not."""
    anchor = anchor_to(MotoServer.running().url, tmp_path, bucket="nowhere")
    with pytest.raises(AnchorFault) as caught:
        await anchor.publish(checkpoint(7))
    await anchor.aclose()

    assert str(caught.value) == "GetObjectLockConfiguration: 404 NoSuchBucket"
    assert not caught.value.transient


def xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("answer", "reason", "transient"),
    [
        ((403, xml("InvalidAccessKeyId")), "403 InvalidAccessKeyId", False),
        ((403, xml("SignatureDoesNotMatch")), "403 SignatureDoesNotMatch", False),
        ((403, xml(f"x{SECRET}")), "redacted", False),
        ((503, xml("SlowDown")), "503 SlowDown", True),
        ((500, b"<html>oops"), "500", True),
        ((200, b"<html>sign in</html>"), "no object lock", False),
    ],
)
async def test_a_refusal_is_told_by_its_code(tmp_path, answer, reason, transient):
    """Wrong credentials need somebody, a busy store needs time; no secret is quoted."""
    with HttpPeer(lambda _: (answer[0], {"Content-Type": "application/xml"}, answer[1])) as peer:
        anchor = anchor_to(peer.url, tmp_path)
        with pytest.raises(AnchorFault) as caught:
            await anchor.publish(checkpoint(7))
        await anchor.aclose()

    assert reason in str(caught.value)
    assert caught.value.transient is transient
    assert SECRET not in str(caught.value)
    assert len(peer.asked) == 1  # one attempt: the outbox repeats


BUCKET_CAN_LOCK = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    b"</ObjectLockConfiguration>"
)


@pytest.mark.parametrize(
    "refusal", [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "NotImplemented")]
)
async def test_a_store_without_object_lock_is_unfit(tmp_path, refusal):
    """It will not learn it: the fault is final, and says what to change."""
    with HttpPeer(lambda _: (refusal[0], {}, xml(refusal[1]))) as peer:
        anchor = anchor_to(peer.url, tmp_path)
        with pytest.raises(AnchorUnfit, match="this store cannot do object lock: use another"):
            await anchor.publish(checkpoint(7))
        await anchor.aclose()


@pytest.mark.parametrize(
    ("settings", "refusal", "hint", "final"),
    [
        ({}, (501, "NotImplemented"), 'set encryption = "none"', True),
        ({}, (400, "InvalidEncryptionAlgorithmError"), 'set encryption = "none"', True),
        ({"encryption": "none"}, (501, "NotImplemented"), "cannot do object lock", True),
        ({"encryption": "aws:kms"}, (400, "KMS.NotFoundException"), "correct kms_key_id", False),
        ({"encryption": "aws:kms"}, (403, "AccessDenied"), "kms:GenerateDataKey", False),
        ({}, (403, "AccessDenied"), "403 AccessDenied", False),
    ],
)
async def test_what_is_wrong_with_the_encryption_is_said(tmp_path, settings, refusal, hint, final):
    """A bucket that locks and an object that it does not take: what to change is named."""

    def answer(asked: Asked):
        if "object-lock" in asked.path:
            return 200, {}, BUCKET_CAN_LOCK
        return (refusal[0], {}, xml(refusal[1])) if asked.method == "PUT" else (404, {}, b"")

    with HttpPeer(answer) as peer:
        anchor = anchor_to(peer.url, tmp_path, **settings)
        with pytest.raises(AnchorFault) as caught:
            await anchor.publish(checkpoint(7))
        await anchor.aclose()

    assert hint in str(caught.value)
    assert f"PutObject: {refusal[0]} {refusal[1]}" in str(caught.value)
    assert isinstance(caught.value, AnchorUnfit) is final
    assert not caught.value.transient


async def test_a_key_of_the_buckets_owner_encrypts(s3, bucket, tmp_path):
    """A real store is asked for the key that was named."""
    anchor = anchor_to(
        MotoServer.running().url, tmp_path, bucket=bucket, encryption="aws:kms", kms_key_id="k-1"
    )
    receipt = json.loads(await anchor.publish(checkpoint(8)))
    await anchor.aclose()
    found = s3.get_object(Bucket=bucket, Key=receipt["key"])

    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "k-1")


@dataclass
class PlainStore:
    """A store that is not AWS: no conditional writes, and locks only if told to know them."""

    lock: dict[str, str]
    kept: dict[str, bytes] = field(default_factory=dict)

    def answer(self, asked: Asked):
        path = asked.path.partition("?")[0]
        if "object-lock" in asked.path:
            enabled = b"<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
            return 200, {}, b"<ObjectLockConfiguration>%b</ObjectLockConfiguration>" % enabled
        if asked.method == "PUT" and "if-none-match" in asked.headers:
            return 501, {}, xml("NotImplemented")
        if asked.method == "PUT":
            self.kept[path] = asked.body
        if path not in self.kept:
            return 404, {}, xml("NoSuchKey")
        return 200, {"ETag": '"x"', **self.lock}, self.kept[path] if asked.method == "GET" else b""


async def test_a_store_without_conditional_writes_will_do(tmp_path):
    """Its versions keep the first copy, whatever is written over it."""
    until = {"x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}
    store = PlainStore({"x-amz-object-lock-mode": "COMPLIANCE", **until})
    with HttpPeer(store.answer) as peer:
        anchor = anchor_to(peer.url, tmp_path)
        receipt = json.loads(await anchor.publish(checkpoint(7)))
        await anchor.aclose()

    assert receipt["retain_until"] == "2030-01-01T00:00:00Z"
    assert list(store.kept.values()) == [checkpoint(7).note]


async def test_a_store_that_ignores_the_lock_is_found_out(tmp_path):
    """It answers 200 to everything and keeps the bytes, but no lock comes back."""
    store = PlainStore({})
    with HttpPeer(store.answer) as peer:
        anchor = anchor_to(peer.url, tmp_path)
        with pytest.raises(AnchorFault, match="not locked"):
            await anchor.publish(checkpoint(7))
        await anchor.aclose()

    assert list(store.kept.values()) == [checkpoint(7).note]


async def test_a_private_authority_is_trusted_only_when_named(tmp_path):
    """The store's certificate must chain to the machine's roots or to ``ca_file``."""
    authority = Authority.make(tmp_path)
    refuse = (403, {"Content-Type": "application/xml"}, xml("AccessDenied"))
    with HttpPeer(lambda _: refuse, tls=authority.server()) as peer:
        for settings, reason in (({}, "SSLError"), ({"ca_file": "root.pem"}, "AccessDenied")):
            anchor = anchor_to(peer.url, tmp_path, **settings)
            with pytest.raises(AnchorFault, match=reason):
                await anchor.publish(checkpoint(7))
            await anchor.aclose()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"bucket": "../x"}, "bucket: this is no"),
        ({"prefix": "a/../b//"}, "prefix: use"),
        ({"retention_days": 0}, "retention_days: give a whole number from 1"),
        ({"retention_days": True}, "retention_days: give a whole number"),
        ({"endpoint_url": "http://s3.example.com"}, "endpoint_url: use https"),
        ({"kms_key_id": "k"}, "kms_key_id: needs"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, settings, reason):
    """Before anything is sent."""
    with pytest.raises(ValueError, match=reason):
        anchor_to("http://127.0.0.1:1", tmp_path, **settings)


def test_keys_are_needed_unless_the_machine_has_its_own(tmp_path):
    """The setting that does without them is named."""
    given = {"bucket": "copies", "retention_days": 1}
    with pytest.raises(ValueError, match=r'access_key_id: missing; or set credentials = "default"'):
        build("s3", given, home=tmp_path)

    assert build("s3", {**given, "credentials": "default"}, home=tmp_path).kind == "s3"
