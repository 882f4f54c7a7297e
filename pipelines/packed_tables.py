"""Tables as bytes, for what is kept on the executors' disks or comes from there."""

from __future__ import annotations

import io

import polars as pl


def packed(table: pl.DataFrame) -> bytes:
    """As Arrow writes it, compressed."""
    written = io.BytesIO()
    table.write_ipc_stream(written, compression="zstd")
    return written.getvalue()


def unpacked(written: bytes | bytearray) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(written))
