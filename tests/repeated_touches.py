"""What a community exported of its own decisions, put into its table of touches."""

from pathlib import Path

import polars as pl

from tests.command_line import keepwell


def declare_exported(home: Path) -> int:
    """Every other row by its id, with a time some hours later, the others without one, to the whole second. Returns their number."""
    said = keepwell("export", "-c", home, "-o", home / "export")
    assert said.code == 0, said
    told = pl.read_parquet(home / "touches.parquet")
    kept = pl.read_parquet(home / "export" / "touches.parquet").with_row_index()
    by_id = pl.col("index") % 2 == 0
    at = pl.when(by_id).then(pl.col("timestamp").dt.offset_by("5h")).otherwise(pl.col("timestamp").dt.truncate("1s"))
    again = kept.with_columns(timestamp=at, decision_id=pl.when(by_id).then("decision_id")).select(
        pl.col(name).cast(kind) for name, kind in told.schema.items() if name in kept.columns
    )
    ids = kept.select(pl.when(by_id).then("decision_id"))
    pl.concat([told, again.hstack(ids)], how="diagonal").write_parquet(home / "touches.parquet")
    return again.height
