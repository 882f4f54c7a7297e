"""What decision jobs for parts of the community did since the run that the pages show: a run stays as it was found."""

from __future__ import annotations

from models.declared import Language
from models.moments import microseconds
from models.texts import plural
from serving.answers import Answered
from serving.latest_run import Run
from serving.schemas import DecisionJobRequest
from serving.service import Service


class DecidedSince(Answered):
    """Jobs that kept their decisions, and the members on whom they decided, each as often as it was decided on."""

    jobs: int
    members: int


def decided_since(service: Service, run: Run) -> DecidedSince:
    """Raises StoreUnavailable."""
    rows = service.store.jobs_since(microseconds(run.overview.as_of))
    asked = [(row, DecisionJobRequest.model_validate_json(row.request)) for row in rows if row.decided]
    decided = [row.decided for row, request in asked if not (request.dry_run or request.is_for_everyone)]
    return DecidedSince(jobs=len(decided), members=sum(decided))


def since_sentence(service: Service, run: Run, language: Language) -> str | None:
    """None where there was no such job."""
    since = decided_since(service, run)
    return plural(language, "page.decided_since", since.members) if since.jobs else None
