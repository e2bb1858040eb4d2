"""A leaver's personal data: readable with the key, gone without it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.keys.subjects import Subject, SubjectErasedError
from tests.support.casework import EMAIL, NAME, SYSTEM, WORKER, leaver_keys


@pytest.fixture
def subject() -> Subject:
    return Subject.new(leaver_keys(), NAME, "1")


def test_a_stored_subject_opens_as_it_was(subject, ring):
    """Name, keys and salt come back from the two stored columns."""
    opened = Subject.open(ring, subject.subject_id, subject.wrapped_key(ring), subject.private())

    assert (opened.display_name, opened.keys, opened.salt) == (NAME, leaver_keys(), subject.salt)


def test_neither_column_nor_repr_shows_the_person(subject, ring):
    """The ciphertexts and the printed object hold no name, e-mail or worker id."""
    shown = subject.private() + subject.wrapped_key(ring) + repr(subject).encode()

    for secret in (NAME, EMAIL, WORKER, subject.salt.hex()):
        assert secret.encode() not in shown


def test_another_ring_or_another_row_does_not_open_it(subject, ring):
    """A subject opens only with its installation's ring and under its own id."""
    with pytest.raises(KeyringError):
        Subject.open(
            Keyring.generate(), subject.subject_id, subject.wrapped_key(ring), subject.private()
        )
    other = Subject.new(leaver_keys(), NAME, "1")
    with pytest.raises(KeyringError):
        Subject.open(ring, other.subject_id, subject.wrapped_key(ring), subject.private())


def test_details_open_only_in_their_own_context(subject):
    """What was encrypted for one decision cannot be shown as another's."""
    cipher = subject.encrypt({"reason": "left"}, context="d1")

    assert subject.decrypt(cipher, context="d1") == {"reason": "left"}
    with pytest.raises(KeyringError):
        subject.decrypt(cipher, context="d2")


async def test_an_erased_subject_is_gone_and_its_case_says_so(work):
    """Without the wrapped key a revocation cannot be worked on, and the error names no person."""
    case = await work.open()
    async with work.engine.begin() as connection:
        await connection.execute(
            text("update subjects set wrapped_key = null, private = null, erased_at = now()")
        )

    with pytest.raises(SubjectErasedError) as caught:
        await work.revocations.load(case.case_id, SYSTEM, 1)
    assert NAME not in str(caught.value)
    assert await work.kinds(case.case_id) == ["case:opened"]
