"""The process in which a worker has an ordered pack made. Not for people."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from lockstep.cli.context import ConfigOption, database_url, run, settings_or_die
from lockstep.composition import Root, open_stores
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import PackMaking
from lockstep.control.packs.process import TRY_LATER, live_beside_worker
from lockstep.settings import Settings
from lockstep.storage.engine.database import create_engine

STOPPED = 143
"""As if ended by SIGTERM: the worker does not ask why, because it wanted it."""


def make_ordered(
    export_id: Annotated[str, typer.Argument(help="The order's id.")],
    config: ConfigOption = None,
) -> None:
    """Make one ordered pack for the worker that started this; ends when standard input does."""
    settings = settings_or_die(config)
    raise typer.Exit(run(_work(settings, export_id)))


async def _work(settings: Settings, export_id: str) -> int:
    """The process's exit code."""
    loop = asyncio.get_running_loop()
    engine = create_engine(database_url(settings), pool_size=2, application="lockstep-export")
    root = Root(settings, open_stores(settings, engine, settings.open_keyring()))
    making = PackMaking(root.exporter, root.stores.exports, PacksFolder(root.packs_folder))
    task = asyncio.ensure_future(making.make(export_id))

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    live_beside_worker(stop)
    try:
        await task
    except asyncio.CancelledError:
        return STOPPED
    except SQLAlchemyError:
        return TRY_LATER
    finally:
        await engine.dispose()
    return 0
