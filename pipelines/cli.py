"""The command line. A command reads its options, calls one function and prints what came of it; its name is that of its function."""

from __future__ import annotations

import logging
import os
import sys

import typer
from rich.markup import escape
from typer.exceptions import TyperException

from models.errors import KeepwellError
from pipelines.commands import backups, campaigns, engines, keys, nights, rollouts, service, tables, webhooks
from pipelines.terminal import ERR

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
logging.getLogger("mlflow").setLevel(logging.WARNING)

UNUSABLE = 2
COMMANDS = (
    tables.init,
    tables.check,
    tables.ingest,
    engines.train,
    engines.learning_curve,
    engines.evaluate,
    engines.promote,
    rollouts.rollback,
    campaigns.plan,
    campaigns.decide,
    campaigns.report,
    campaigns.targeting,
    campaigns.experiments,
    nights.monitor,
    nights.run,
    service.serve,
    service.export,
    service.migrate,
    backups.backup,
    backups.restore,
    tables.simulate,
    tables.demo,
)
app = typer.Typer(
    name="keepwell",
    help="Who is leaving, what would keep them, and why: churn prediction and next best action for member communities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app)
app.add_typer(rollouts.app)


def main() -> None:
    """Exit code 0, 1 where `check` found errors, 2 where the input or an option cannot be used; then one sentence says why."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="keepwell", standalone_mode=False)
    except TyperException as error:
        code = _refuse(f"{error.format_message().rstrip('.')}; --help tells what can be given")
    except KeepwellError as error:
        code = _refuse(str(error))
    sys.exit(code)


def _refuse(why: str) -> int:
    ERR.print(f"keepwell: {escape(' '.join(why.split()))}", style="red", highlight=False, soft_wrap=True)
    return UNUSABLE


if __name__ == "__main__":
    main()
