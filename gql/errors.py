"""What a client is told when something goes wrong: expected trouble by its code, everything else masked and logged once."""

import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import structlog
from graphql import GraphQLError

from domain.errors import (
    ChargerOfflineError,
    ChargerStateError,
    ConflictError,
    DomainError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
    ValidationError,
)

_log = structlog.get_logger(__name__)


class Code(StrEnum):
    """`extensions.code` of a top-level error."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    COST_EXCEEDED = "COST_EXCEEDED"
    ACCESS_ENDED = "ACCESS_ENDED"
    INTERNAL = "INTERNAL"


class EdgeError(Exception):
    """Trouble of the edge's own: an operation that it will not run, or no longer."""

    def __init__(self, message: str, *, code: Code, extensions: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.extensions = dict(extensions or {})


class AccessEndedError(EdgeError):
    """What a stream relied on was taken away."""

    def __init__(self) -> None:
        super().__init__("Your access to this has ended.", code=Code.ACCESS_ENDED)


# NOT_ALLOWED has no top-level code: whoever may not ask learns no more than that there is nothing for them.
_CODES: tuple[tuple[type[DomainError], Code], ...] = (
    (UnauthenticatedError, Code.UNAUTHENTICATED),
    (NotFoundError, Code.NOT_FOUND),
    (NotAllowedError, Code.NOT_FOUND),
    (RateLimitedError, Code.RATE_LIMITED),
    (UnavailableError, Code.INTERNAL),
    (ValidationError, Code.BAD_USER_INPUT),
    (ConflictError, Code.BAD_USER_INPUT),
    (ChargerOfflineError, Code.BAD_USER_INPUT),
    (ChargerStateError, Code.BAD_USER_INPUT),
    (DomainError, Code.BAD_USER_INPUT),
)

_OPAQUE_DEFECTS = ("Argument ", "Variable ", "Syntax Error")
"""How graphql-core begins its own complaints about a client's input while it executes."""


def code_of(error: DomainError) -> Code:
    """The top-level code of expected trouble."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def edge_error(error: DomainError) -> EdgeError:
    """The same trouble as the edge tells it."""
    extensions: dict[str, object] = {}
    if error.code not in (ErrorCode.INVALID, ErrorCode.NOT_FOUND, ErrorCode.NOT_ALLOWED, ErrorCode.RATE_LIMITED):
        extensions["reason"] = error.code.value
    if error.path:
        extensions["input"] = list(error.path)
    if isinstance(error, RateLimitedError | UnavailableError) and error.retry_after_s is not None:
        extensions["retryAfterSeconds"] = error.retry_after_s
    return EdgeError(error.message, code=code_of(error), extensions=extensions)


def request_errors(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The bodies of errors found before anything was executed: all of them the client's."""
    return [_body(error, _of_request(error)) for error in errors]


def execution_errors(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The bodies of errors of an execution. A defect is masked, and logged once however many fields it hit."""
    masked: dict[int, EdgeError] = {}
    bodies = []
    for error in errors:
        cause = _cause(error)
        if isinstance(cause, EdgeError):
            told = cause
        elif isinstance(cause, DomainError):
            told = edge_error(cause)
        elif cause is None and error.message.startswith(_OPAQUE_DEFECTS):
            told = _of_request(error)
        else:
            defect = cause or error
            told = masked.get(id(defect)) or mask(defect, path=error.path)
            masked[id(defect)] = told
        bodies.append(_body(error, told))
    return bodies


def body_of(error: EdgeError) -> dict[str, Any]:
    """The body of an error that is not at any field."""
    return {"message": error.message, "extensions": {"code": error.code.value, **error.extensions}}


def mask(defect: BaseException, *, path: object = None) -> EdgeError:
    """The error that a client is told instead of a defect, which is in the log under the same correlation id."""
    known = structlog.contextvars.get_contextvars().get("correlation_id")
    correlation_id = known if isinstance(known, str) else secrets.token_hex(8)
    _log.error(
        "a defect while answering",
        correlation_id=correlation_id,
        path=path,
        exc_info=(type(defect), defect, defect.__traceback__),
    )
    return EdgeError(
        f"Something went wrong on our side. Tell support the correlation id {correlation_id}.",
        code=Code.INTERNAL,
        extensions={"correlationId": correlation_id},
    )


def _of_request(error: GraphQLError) -> EdgeError:
    cause = _cause(error)
    if isinstance(cause, EdgeError):
        return cause
    return EdgeError(error.message, code=Code.BAD_USER_INPUT)


def _cause(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _body(error: GraphQLError, told: EdgeError) -> dict[str, Any]:
    body = body_of(told)
    if error.locations:
        body["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        body["path"] = list(error.path)
    return body
