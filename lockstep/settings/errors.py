"""What is wrong with the settings, told so that an operator can mend it."""

from __future__ import annotations


class SettingsError(ValueError):
    """Settings that cannot be used; every line names the key, the reason and the fix."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
