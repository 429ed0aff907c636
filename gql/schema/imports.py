"""Tables that people import, and what becomes of each line."""

from typing import Annotated

import strawberry

from domain.csv_imports import ImportOutcome
from domain.roles import ImportAction
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.mutations import Plain, made


@strawberry.type(description="What one line does, or would do.")
class ImportLine:
    """Read from domain.csv_imports.ImportLine."""

    line: int = strawberry.field(description="Counted from 1, which is the header, as editors do.")
    action: ImportAction
    text: str = strawberry.field(description="What it does to whom, or why it was rejected, in words.")


@strawberry.type(
    description="All or nothing: isApplied is false for a dry run and when any line is rejected. At most 5,000 lines."
)
class ImportSuccess:
    """Made of ImportOutcome."""

    is_applied: bool
    lines: list[ImportLine]


@strawberry.input(
    description="CSV with a header line, UTF-8, at most 1 MiB and 5,000 lines below the header; comma or semicolon separates the "
    "columns. Send it over HTTP, in a variable. Without dryRun: false nothing is changed."
)
class ImportInput:
    """A table for a site."""

    installation_id: strawberry.ID
    csv: str
    dry_run: bool = True
    idempotency_key: str | None = strawberry.UNSET


ImportResult = Annotated[
    ImportSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError, strawberry.union("ImportResult")
]


def _imported(_given: object, returned: ImportOutcome) -> ImportSuccess:
    return made(ImportSuccess, is_applied=returned.is_applied, lines=returned.lines)


IMPORTED = Plain("Import", _imported, kept=ImportOutcome)
"""A repeated import under its key is answered with the lines of the first."""
