"""`lade balance`: the balancer's decision for sites that are written down (ev-balance/1), without a server."""

import sys
from typing import BinaryIO

import click
import orjson

from balancing.allocate import DEFAULT
from balancing.circuit import InstanceError
from balancing.document import allocate_document


@click.command("balance", short_help="Print the balancer's decision for a site in a file.")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--lines", "is_lines", is_flag=True, help="One instance a line, one allocation a line.")
@click.option(
    "--effort",
    type=click.IntRange(min=0),
    default=DEFAULT,
    show_default=True,
    help="Search nodes for the choice of cars and phases; never seconds, so that every machine answers the same.",
)
def balance_command(file: BinaryIO | None, is_lines: bool, effort: int) -> None:
    """Print how much each charger may draw, for the instance in FILE.

    The instance and its allocation are JSON (ev-balance/1); - is standard input. Unknown fields are ignored. A wrong
    instance is refused with the name of its field, and exit status 1.

    With --lines instances are read from FILE, else from standard input, and each is answered before the next is read. A wrong
    one is answered too, and the others go on; exit status 1 at the end tells of it:

    \b
      {"line":3,"field":"chargers[0].state","error":"is missing"}
    """  # noqa: D301  click keeps the lines after a backspace as they are
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
