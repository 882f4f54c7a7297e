"""What may befall those who decide on Spark."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True)
class KilledOnce:
    """As `work`, but the first process that has given something of it away is killed, which leaves `trace`."""

    work: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
    trace: Path

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for told in self.work(batches):
            yield told
            with suppress(FileExistsError):
                self.trace.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
