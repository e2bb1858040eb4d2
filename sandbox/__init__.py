"""Simulated vendor systems with state, sessions and faults, for demonstrations, tests, benchmarks.

Nothing here talks to a real vendor and nobody in it exists. It stands beside Lockstep and imports
nothing of it, so that both sides cannot share a misunderstanding.
"""

from sandbox.company import company
from sandbox.people import Person, demo_people, generate
from sandbox.running import Options, Sandbox, Urls, running, start_in_thread

__all__ = [
    "Options",
    "Person",
    "Sandbox",
    "Urls",
    "company",
    "demo_people",
    "generate",
    "running",
    "start_in_thread",
]
