"""Expected trouble: every error that a person or program may be told about, with a stable code.

Anything else that is raised is a defect: the edge masks it with a correlation id and logs it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from domain.roles import OperatingMode


class ErrorCode(StrEnum):
    """The finer reason; programs branch on it."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    CHARGER_OFFLINE = "CHARGER_OFFLINE"
    CHARGER_STATE = "CHARGER_STATE"
    UNAVAILABLE = "UNAVAILABLE"
    RATE_LIMITED = "RATE_LIMITED"
    WRONG_CREDENTIALS = "WRONG_CREDENTIALS"
    TOTP_REQUIRED = "TOTP_REQUIRED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  a code, not a secret
    KEY_REUSED = "KEY_REUSED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ALREADY_DECIDED = "ALREADY_DECIDED"
    LAST_OWNER = "LAST_OWNER"
    IN_USE = "IN_USE"
    OTHER_SESSION = "OTHER_SESSION"
    PREFLIGHT_FAILED = "PREFLIGHT_FAILED"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    PERIOD_LOCKED = "PERIOD_LOCKED"
    TOO_LARGE = "TOO_LARGE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"


Path = tuple[str, ...]
"""Where in the input the trouble is, in the input's own words; empty for the whole."""


class DomainError(Exception):
    """Trouble that was expected; `message` says to a person what to do about it."""

    default_code = ErrorCode.INVALID

    def __init__(self, message: str, *, code: ErrorCode | None = None, path: Path = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.path = path


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field of an input."""

    path: Path
    message: str
    code: ErrorCode = ErrorCode.INVALID


class ValidationError(DomainError):
    """The input is wrong; `problems` names every field that is."""

    def __init__(self, *problems: FieldProblem) -> None:
        first = problems[0]
        super().__init__(first.message, code=first.code, path=first.path)
        self.problems = problems


def invalid(path: str | Path, message: str, code: ErrorCode = ErrorCode.INVALID) -> ValidationError:
    """A ValidationError about one field."""
    return ValidationError(FieldProblem((path,) if isinstance(path, str) else path, message, code))


class NotFoundError(DomainError):
    """There is no such thing, or it is not the actor's to see: both look the same."""

    default_code = ErrorCode.NOT_FOUND

    def __init__(self, *, path: Path = ()) -> None:
        super().__init__("There is nothing here by that id, or it is not yours to see.", path=path)


class NotAllowedError(DomainError):
    """The actor can see the thing but may not do this to it."""

    default_code = ErrorCode.NOT_ALLOWED


class ConflictError(DomainError):
    """The present state does not permit it."""

    default_code = ErrorCode.CONFLICT


class UnauthenticatedError(DomainError):
    """Nobody is signed in."""

    default_code = ErrorCode.NOT_ALLOWED

    def __init__(self, message: str = "Sign in first.", *, code: ErrorCode | None = None) -> None:
        super().__init__(message, code=code)


class ChargerOfflineError(DomainError):
    """The charger is known to be off; nothing was queued."""

    default_code = ErrorCode.CHARGER_OFFLINE

    def __init__(self, message: str, *, last_seen_at: datetime | None) -> None:
        super().__init__(message)
        self.last_seen_at = last_seen_at


class ChargerStateError(DomainError):
    """The charger is in a mode in which this makes no sense."""

    default_code = ErrorCode.CHARGER_STATE

    def __init__(self, message: str, *, mode: OperatingMode) -> None:
        super().__init__(message)
        self.mode = mode


class UnavailableError(DomainError):
    """Something that is needed is away for a while; try again."""

    default_code = ErrorCode.UNAVAILABLE

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StatusError(UnavailableError):
    """Another company's system answered with an HTTP status that is no success."""

    def __init__(self, status: int, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"The system answered with status {status}.", retry_after_s=retry_after_s)
        self.status = status

    @property
    def is_gone(self) -> bool:
        """Whether nobody listens there any more, and is not to be called again (410)."""
        return self.status == HTTPStatus.GONE

    @property
    def is_refusal(self) -> bool:
        """Whether it was the request that it did not take, and not itself that failed (4xx)."""
        return 400 <= self.status < 500


class RateLimitedError(DomainError):
    """Asked too often."""

    default_code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
