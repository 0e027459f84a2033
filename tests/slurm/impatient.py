"""``snakemake`` that asks Slurm every other second. Its plugin asks ten seconds later each time that nothing has ended."""

from __future__ import annotations

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(_: RemoteExecutor) -> None:
    await asyncio.sleep(2)


RemoteExecutor.sleep = sleep
sys.exit(main())
