"""One id for everything that is logged while a request is answered, told to the caller too."""

import contextlib
import re
import secrets

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
_INTERNAL_ERROR = 1011
"""RFC 6455 §7.4.1."""
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{8,64}")

_log = structlog.get_logger(__name__)


class CorrelationMiddleware:
    """Log lines of a request carry `correlation_id`; the answer carries it as X-Request-ID.

    An id that a proxy in front already gave is kept when it is harmless in a log. What nobody expected ends here: logged
    once, with the id, after the application has answered; a socket is closed with 1011.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application inside does, with the id beside it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        correlation_id = _given(scope) or secrets.token_hex(8)

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (HEADER, correlation_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:  # beyond this the server would log it again, without the id
                _log.error("request failed", path=scope["path"], exc_info=error)
                if scope["type"] == "websocket":
                    with contextlib.suppress(RuntimeError):  # it may be closed already
                        await send({"type": "websocket.close", "code": _INTERNAL_ERROR})


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER and _ACCEPTABLE.fullmatch(value):
            return bytes(value).decode()
    return None
