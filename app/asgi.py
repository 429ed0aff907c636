"""The ASGI application of a house: its routes, with a correlation id around each request and every surprise masked."""

from collections.abc import Sequence

import orjson
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from app.correlation import CorrelationMiddleware
from app.proxies import ProxiesMiddleware, TrustedProxies


def create_app(
    routes: Sequence[BaseRoute], proxies: TrustedProxies | None = None, *, certificate_header: str | None = None
) -> ASGIApp:
    """The application that answers on these routes, to whoever is behind the trusted proxies (None: those on this host), which pass
    client certificates on in that header (None: in none).

    It has no lifespan of its own: the house is opened before and closed after it (app.serve), so that trouble at the
    start is told to the operator in one line instead of inside a server's traceback.
    """
    # The id goes around all of it: Starlette answers surprises outside of every middleware that it is given.
    starlette = Starlette(routes=routes, exception_handlers={Exception: _masked, 404: _plain, 405: _plain})
    return CorrelationMiddleware(ProxiesMiddleware(starlette, proxies or TrustedProxies(), certificate_header))


async def _masked(_request: Request, _error: Exception) -> Response:
    """The caller learns only the id under which the operator finds the trace (CorrelationMiddleware logs it)."""
    correlation_id = structlog.contextvars.get_contextvars().get("correlation_id")
    return _answer({"error": "INTERNAL", "message": "Something went wrong here.", "correlationId": correlation_id}, 500)


async def _plain(_request: Request, error: Exception) -> Response:
    status = int(getattr(error, "status_code", 404))
    code, message = {
        404: ("NOT_FOUND", "There is nothing at this address."),
        405: ("METHOD_NOT_ALLOWED", "This address does not take that method."),
    }[status]
    return _answer({"error": code, "message": message}, status)


def _answer(content: object, status: int) -> Response:
    return Response(orjson.dumps(content), status_code=status, headers={"content-type": "application/json"})
