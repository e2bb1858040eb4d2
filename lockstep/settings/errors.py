"""What is wrong with the settings, told so that an operator can mend it."""

from __future__ import annotations

from lockstep.domain.errors import Kind, LockstepError


class SettingsError(LockstepError, ValueError):
    """Settings that cannot be used; every line names the key, the reason and the fix."""

    kind = Kind.SETTINGS

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
