"""Deterministic sequence: imports temporalio, lockstep.contracts and lockstep.domain only."""
