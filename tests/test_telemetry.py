"""Spans as a collector receives them, and none where no collector is named."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from models.errors import InputError
from serving.settings import Settings
from serving.telemetry import OFF, provider_of, telemetry
from tests.patience import wait_until
from tests.serving_world import serving, world, write_home

TRACE_ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MEMBER = "Zhang-Wei-139"


@dataclass
class Collector:
    """Takes what is sent as OTLP over HTTP."""

    url: str
    received: list[bytes] = field(default_factory=list)

    def spans(self):
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.received]
        resources = [spans for request in requests for spans in request.resource_spans]
        return [span for spans in resources for scoped in spans.scope_spans for span in scoped.spans]


@contextmanager
def collecting():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            collector.received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    yield collector
    server.shutdown()
    server.server_close()


def attributes(span):
    return {attribute.key: attribute.value.string_value or attribute.value.int_value for attribute in span.attributes}


def test_a_collector_receives_the_spans_of_a_trace_without_a_member(tmp_path):
    with collecting() as collector:
        with serving(write_home(tmp_path / "home"), world().log, otlp_endpoint=collector.url) as running:
            headers = {"traceparent": f"00-{TRACE_ID}-{PARENT}-01"}
            answer = running.client.get(f"/v1/members/{MEMBER}/explanation?lang=en", headers=headers)
            running.client.post("/v1/score", json={"member_id": world().log.members["member_id"][0]}, headers=headers)
            running.client.get("/livez", headers=headers)
        wait_until(lambda: len([span for span in collector.spans() if span.parent_span_id.hex() == PARENT]) == 2)
    requests = {span.name: span for span in collector.spans() if span.parent_span_id.hex() == PARENT}
    assert requests.keys() == {"GET /v1/members/{member_id}/explanation", "POST /v1/score"}
    refused = requests["GET /v1/members/{member_id}/explanation"]
    assert refused.trace_id.hex() == TRACE_ID
    assert attributes(refused)["http.response.status_code"] == 404
    assert answer.headers["traceparent"] == f"00-{TRACE_ID}-{refused.span_id.hex()}-01"
    assert not [body for body in collector.received if MEMBER.encode() in body]


def test_without_a_collector_nothing_is_traced():
    assert Settings.from_environment({}).otlp_endpoint is None
    assert Settings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}).otlp_endpoint == "http://c:4318"
    assert telemetry(provider_of(None, "1")) == OFF


def test_without_the_extra_the_missing_package_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "serving.span_export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"install keepwell\[telemetry\]"):
        provider_of("http://collector:4318", "1")
