"""`lade balance`: the balancer's decision for sites that are written down (ev-balance/1), without a server."""

import sys
from typing import BinaryIO, Final

import click
import orjson

from balancing.allocate import DEFAULT
from balancing.circuit import InstanceError
from balancing.document import allocate_document

MOST_EFFORT: Final = 10**12
"""Days. Sums of larger efforts would not fit where they are counted."""


@click.command("balance")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--lines", "is_lines", is_flag=True, help="One instance a line, one allocation a line.")
@click.option(
    "--effort",
    type=click.IntRange(min=0, max=MOST_EFFORT),
    default=DEFAULT,
    show_default=True,
    help="Search nodes for the choice of cars and phases; never seconds, so that every machine answers the same.",
)
@click.option(
    "--decision",
    metavar="ID",
    help="Decide a stored decision anew, by its id as the API tells it, and say whether it comes to the same.",
)
def balance_command(file: BinaryIO | None, is_lines: bool, effort: int, decision: str | None) -> None:
    """Print how much each charger may draw, for the instance in FILE.

    The instance and its allocation are JSON (ev-balance/1); - is standard input. Unknown fields are ignored. A wrong
    instance is refused with the name of its field, and exit status 1.

    With --lines instances are read from FILE, else from standard input, and each is answered before the next is read. A wrong
    one is answered too, and the others go on; exit status 1 at the end tells of it:

    \b
      {"line":3,"field":"chargers[0].state","error":"is missing"}

    With --decision the instance comes from the database: the allocation is printed, and on standard error whether it is the one that
    was stored with it; exit status 1 where it is another.
    """  # noqa: D301  click keeps the lines after a backspace as they are
    if decision is not None:
        if file is not None or is_lines:
            raise click.UsageError("--decision ID reads no FILE and no lines.")
        # What reaches the database takes half a second to read in, which only who asks for it should pay.
        from app.stored_decision import print_decided_anew

        print_decided_anew(decision, effort=effort)
        return
    if is_lines:
        if _answer_lines(file or sys.stdin.buffer, effort=effort):
            sys.exit(1)
        return
    if file is None:
        raise click.UsageError("Name a FILE (- for standard input), or say --lines.")
    try:
        click.echo(allocate_document(file.read(), effort=effort))
    except InstanceError as error:
        raise click.ClickException(f"{file.name}: {error}") from error


def _answer_lines(instances: BinaryIO, *, effort: int) -> int:
    """How many lines were wrong; every line that is not empty has its answer on standard output, flushed."""
    wrong = 0
    for number, line in enumerate(instances, start=1):
        if not line.strip():
            continue
        try:
            answer = allocate_document(line, effort=effort)
        except InstanceError as error:
            wrong += 1
            answer = orjson.dumps({"line": number, "field": error.field, "error": error.problem})
        click.echo(answer)
    return wrong
