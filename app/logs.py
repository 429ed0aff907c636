"""How log lines look: for eyes on a terminal, one JSON object a line elsewhere; never a secret in either."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.settings import LogFormat

HIDDEN = "[hidden]"
_SECRET_KEYS = frozenset(
    {"authorization", "cookie", "password", "secret", "secret_key", "token", "access_token", "refresh_token", "totp"}
)
_URL_CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]*@")


def without_credentials(text: str) -> str:
    """The text with user and password taken out of every URL in it."""
    return _URL_CREDENTIALS.sub(r"\g<scheme>", text)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event without values that are secrets by their key, and without credentials in its URLs."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS:
            event[key] = HIDDEN
        elif isinstance(value, str) and "://" in value:
            event[key] = without_credentials(value)
    return event


def _console() -> structlog.dev.ConsoleRenderer:
    """For eyes. Tracebacks are plain: those with the values of variables would show passwords and cards."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def configure_logs(log_format: LogFormat, level: str) -> None:
    """Every line of this process, ours and the libraries', goes to stderr in one shape."""
    console = log_format is LogFormat.CONSOLE or (log_format is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    last: list[Processor] = (
        [hide_secrets, _console()]
        if console
        else [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line per frame or statement is theirs to tell, and bodies hold people's data.
    for name in ("aiosqlite", "asyncpg", "tortoise", "websockets", "uvicorn.access"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level.upper())))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
