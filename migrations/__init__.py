"""The schema's history (alembic): dated, one step down tested, safe beside running code."""
