"""What is remembered of a system is bounded in time and number."""

from __future__ import annotations

from connectors.kit.memory import Memory


def test_what_is_remembered_ends() -> None:
    """A value counts for its life only, and `take` gives it once."""
    at = [0.0]
    memory = Memory[str, tuple[int, ...]](life_s=10, now=lambda: at[0])
    memory.keep("a", ())
    at[0] = 9.9
    assert memory.get("a") == ()
    at[0] = 10.0
    assert memory.get("a") is None
    memory.keep("a", (1,))
    assert (memory.take("a"), memory.take("a")) == ((1,), None)
    memory.keep("a", (2,))
    memory.forget()
    assert memory.get("a") is None


def test_the_oldest_is_forgotten() -> None:
    """A process that runs for months remembers so many and no more."""
    memory = Memory[int, bool](most=2)
    for number in (1, 2, 2, 3):
        memory.keep(number, True)

    assert [memory.get(number) for number in (1, 2, 3)] == [None, True, True]
