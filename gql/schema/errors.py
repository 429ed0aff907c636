"""Errors as members of a mutation's result: what a program branches on, what a person reads, where in the input it is."""

from datetime import datetime
from typing import Any

import strawberry

from domain import errors
from domain.errors import ErrorCode
from domain.roles import OperatingMode
from gql.schema.fields import derived


def _path(error: Any) -> list[str] | None:
    return list(error.path) or None


@strawberry.interface(
    description="Expected trouble. `code` is the finer reason; `path` leads into the input. Select `... on UserError`: types are added."
)
class UserError:
    """Read from a DomainError."""

    message: str
    code: ErrorCode
    path: list[str] | None = derived(_path, description="Into the input; null when the trouble is with the whole.")


@strawberry.type(description="One wrong field of the input.")
class FieldError:
    """Read from a FieldProblem."""

    path: list[str] = derived(lambda problem: list(problem.path))
    message: str
    code: ErrorCode


@strawberry.type(description="The input is wrong; nothing was done.")
class ValidationError(UserError):
    """Read from the domain's ValidationError."""

    fields: list[FieldError] = derived(
        lambda error: error.problems, description="Every field that is wrong, the first one above."
    )


@strawberry.type(description="There is nothing by that id, or it is not the viewer's to see: both look the same.")
class NotFoundError(UserError):
    """Read from the domain's NotFoundError."""


@strawberry.type(description="The viewer can see it but may not do this to it.")
class NotAllowedError(UserError):
    """Read from the domain's NotAllowedError."""


@strawberry.type(description="The present state does not permit it.")
class ConflictError(UserError):
    """Read from the domain's ConflictError."""


@strawberry.type(description="The charger is known to be off; nothing was queued.")
class ChargerOfflineError(UserError):
    """Read from the domain's ChargerOfflineError."""

    last_seen_at: datetime | None = strawberry.field(description="Null when it was never there.")


@strawberry.type(description="The charger is in a mode in which this makes no sense.")
class ChargerStateError(UserError):
    """Read from the domain's ChargerStateError."""

    mode: OperatingMode


@strawberry.type(description="Something that is needed is away for a while; try again.")
class UnavailableError(UserError):
    """Read from the domain's UnavailableError."""

    retry_after_seconds: int | None = derived(
        lambda error: error.retry_after_s, description="When to try again; null when not known."
    )


@strawberry.type(description="Asked too often.")
class RateLimitedError(UserError):
    """Read from the domain's RateLimitedError."""

    retry_after_seconds: int | None = derived(
        lambda error: error.retry_after_s, description="When to try again; null when not known."
    )


ERRORS: dict[type, type] = {
    errors.ValidationError: ValidationError,
    errors.NotFoundError: NotFoundError,
    errors.NotAllowedError: NotAllowedError,
    errors.ConflictError: ConflictError,
    errors.ChargerOfflineError: ChargerOfflineError,
    errors.ChargerStateError: ChargerStateError,
    errors.UnavailableError: UnavailableError,
    errors.RateLimitedError: RateLimitedError,
}
"""The domain's errors and what shows them: a mutation answers with the error itself."""
