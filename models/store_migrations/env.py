"""Alembic runs this file for every command; `upgrade` hands it the connection whose transaction it is to work in."""

from __future__ import annotations

from alembic import context

from models.store_migrations import VERSION_TABLE
from models.store_migrations.upgrading import CONNECTION
from models.store_schema import metadata

context.configure(
    connection=context.config.attributes[CONNECTION],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
