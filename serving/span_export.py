"""Where spans go: to a collector over HTTP, without what may name a member. Needs the extra `telemetry`."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

WITHHELD = ("url.path", "url.query", "http.request.method_original")
REDACTED = "REDACTED"


class _Withholding(SpanProcessor):
    """Paths name members; `http.route` tells the template."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the signature is OpenTelemetry's
        for name in WITHHELD:
            if name in (span.attributes or {}):
                span.set_attribute(name, REDACTED)


def tracer_provider(endpoint: str, version: str) -> TracerProvider:
    """Spans are sent to `endpoint`/v1/traces in batches, from a thread of its own.

    OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS and the like are read by OpenTelemetry itself.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "keepwell", "service.version": version}))
    provider.add_span_processor(_Withholding())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    return provider
