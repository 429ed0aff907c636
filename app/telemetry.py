"""Traces by OpenTelemetry, where `lade[telemetry]` is installed and the environment names a collector as the standard says."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from app.settings import OperatorError
from domain.tracing import UNTRACED, Fact, Span, Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as TracedSpan

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SERVICE: Final = "lade"


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector, and does not switch telemetry off."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not is_off and any(environ.get(name) for name in ENDPOINTS)


@dataclass(frozen=True, slots=True)
class _Span:
    _span: "TracedSpan"
    _provider: "TracerProvider"
    _epoch_ns: int

    def note(self, **facts: Fact) -> None:
        self._span.set_attributes(_named(facts))

    def add(self, name: str, *, began_ns: int, ended_ns: int, **facts: Fact) -> None:
        trace = import_module("opentelemetry.trace")
        child = self._provider.get_tracer(SERVICE).start_span(
            name,
            context=trace.set_span_in_context(self._span),
            attributes=_named(facts),
            start_time=self._epoch_ns + began_ns,
        )
        child.end(self._epoch_ns + ended_ns)


class OpenTelemetry:
    """Tracing of `domain.tracing` into a provider of OpenTelemetry's."""

    is_on: Final = True

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE)
        propagation = import_module("opentelemetry.trace.propagation.tracecontext")
        self._propagator: Any = propagation.TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, *, traceparent: str | None = None, **facts: Fact) -> Iterator[Span]:
        """Inside it goes on; whatever is raised marks it as failed with the class only, never with its words."""
        around = None if traceparent is None else self._propagator.extract({"traceparent": traceparent})
        epoch_ns = time.time_ns() - time.perf_counter_ns()
        with self._tracer.start_as_current_span(
            name, context=around, attributes=_named(facts), record_exception=False, set_status_on_exception=False
        ) as traced:
            try:
                yield _Span(traced, self._provider, epoch_ns)
            except BaseException as error:
                traced.set_attribute("error.type", type(error).__name__)
                raise

    def close(self) -> None:
        """What was told is on its way."""
        self._provider.shutdown()


def _named(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {f"lade.{name}": value for name, value in facts.items()}


@contextmanager
def tracing_of(environ: Mapping[str, str], *, roles: str) -> Iterator[Tracing]:
    """Inside: spans go to the collector that the environment names, if it names one.

    OperatorError when it does and OpenTelemetry is not installed.
    """
    if not asked_for(environ):
        yield UNTRACED
        return
    traced = OpenTelemetry(_provider(roles))
    try:
        yield traced
    finally:
        traced.close()


def _provider(roles: str) -> "TracerProvider":
    try:
        sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise OperatorError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and OpenTelemetry is not installed: "
            "install lade[telemetry], or unset the variable."
        ) from error
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before these; OTEL_TRACES_SAMPLER and OTEL_BSP_* are read by the library.
    resource = resources.Resource({"service.name": SERVICE, "lade.roles": roles}).merge(
        resources.OTELResourceDetector().detect()
    )
    provider: TracerProvider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return provider
