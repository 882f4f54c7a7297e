"""Spans of requests for an OpenTelemetry collector: off unless one is named, and then the extra `telemetry` has to be installed."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import get_current_span

from models.errors import InputError
from serving.traces import Trace, continued

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
UNTRACED = frozenset({"/livez", "/readyz", "/metrics"})


def provider_of(endpoint: str | None, version: str) -> TracerProvider | None:
    """None where no collector is named. Raises InputError without the extra."""
    if endpoint is None:
        return None
    try:
        from serving.span_export import tracer_provider  # noqa: PLC0415 - stands on an optional extra
    except ModuleNotFoundError as missing:
        advice = "install keepwell[telemetry], or leave OTEL_EXPORTER_OTLP_ENDPOINT empty"
        raise InputError(f'spans for {endpoint} need the Python package "{missing.name}"; {advice}') from None
    return tracer_provider(endpoint, version)


def telemetry(provider: TracerProvider | None) -> TelemetryConfig:
    """For FastAPI, which makes the spans."""
    return OFF if provider is None else {**OFF, "tracing": True, "tracer_provider": provider, "exclude": _is_untraced}


def traced(traceparent: str) -> Trace:
    """The span under way; where none is, what the header says."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return continued(traceparent)
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}")


def _is_untraced(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in UNTRACED
