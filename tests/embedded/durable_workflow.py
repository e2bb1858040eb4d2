"""A workflow that waits, for a server that dies while it does."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def note(text: str) -> str:
    return text.upper()


@workflow.defn
class Waiting:
    def __init__(self) -> None:
        self._released = False
        self._waiting = False

    @workflow.run
    async def run(self, text: str) -> list[str]:
        timeout = timedelta(seconds=10)
        before = await workflow.execute_activity(note, text, start_to_close_timeout=timeout)
        self._waiting = True
        await workflow.wait_condition(lambda: self._released)
        after = await workflow.execute_activity(note, "after", start_to_close_timeout=timeout)
        return [before, after]

    @workflow.signal
    def release(self) -> None:
        self._released = True

    @workflow.query
    def waiting(self) -> bool:
        return self._waiting
