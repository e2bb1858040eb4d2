"""What all tables share: one metadata, the names of constraints, the type of an instant."""

from __future__ import annotations

from sqlalchemy import DateTime, MetaData

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

Instant = DateTime(timezone=True)
