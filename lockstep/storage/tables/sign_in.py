"""Who uses Lockstep itself, by which session or token, and who may not."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from lockstep.storage.tables.schema import Instant, metadata

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("identity_index", LargeBinary, nullable=False, unique=True),
    Column("private", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
"""Whoever has signed in. ``identity_index``: blind index of issuer and subject."""

sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("idle_until", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    Column("provider_index", LargeBinary),
    Column("key_indexes", ARRAY(LargeBinary), nullable=False),
    Column("private", LargeBinary, nullable=False),
    Index("ix_sessions_provider_index", "provider_index"),
)
"""``session_hash``: SHA-256 of the cookie. ``provider_index``: blind index of the provider's
session id.
"""

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("private", LargeBinary, nullable=False),
    Index("ix_sign_ins_expires_at", "expires_at"),
)
"""Sign-ins under way: ``oidc`` (nonce, verifier) and one-time ``link`` of a local evaluation."""

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("roles", JSONB, nullable=False),
    Column("permissions", JSONB, nullable=False),
    Column("partners", JSONB(none_as_null=True)),
    Column("key_indexes", ARRAY(LargeBinary), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    Column("sites", JSONB(none_as_null=True)),
)
"""``digest``: SHA-256 of the token, which is shown once. ``partners`` null: every partner.
``sites``: of which it reports leavers; null is every one.
"""

barred_keys = Table(
    "barred_keys",
    metadata,
    Column("key_index", LargeBinary, primary_key=True),
    Column("case_id", Text, nullable=False),
    Column("barred_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    Column("private", LargeBinary),
    Index("ix_barred_keys_case_id", "case_id"),
)
"""Leavers past their cutoff: whoever holds such a key cannot sign in until it is lifted.

``private``: why it was lifted.
"""
