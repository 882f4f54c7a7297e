"""Starts the service; it finds its workspace through the environment and knows nothing of the pipelines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

APP = "serving.app:create_app"


def serve(workspace: Workspace, host: str, port: int, workers: int) -> None:
    """Returns when the service is stopped. KEEPWELL_HOME tells the workers where the declaration is."""
    os.environ["KEEPWELL_HOME"] = str(workspace.declaration)
    os.environ["KEEPWELL_STORE_URL"] = workspace.store_url
    os.environ["KEEPWELL_MLFLOW_URI"] = workspace.mlflow_uri
    uvicorn.run(APP, factory=True, host=host, port=port, workers=workers, server_header=False)
