"""`lade balance`: the balancer's decision for sites that are written down (ev-balance/1), without a server."""

import sys
from typing import BinaryIO
from uuid import UUID

import click
import orjson

from app.database import database_of, opened
from app.event_loop import run
from app.settings import load_settings
from balancing.allocate import DEFAULT, allocate
from balancing.circuit import InstanceError
from balancing.document import allocate_document, dump_allocation, parse_instance
from domain.current import offers
from domain.global_ids import parsed


@click.command("balance")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--lines", "is_lines", is_flag=True, help="One instance a line, one allocation a line.")
@click.option(
    "--effort",
    type=click.IntRange(min=0),
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
        run(_replay(decision, effort=effort))
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


async def _replay(given: str, *, effort: int) -> None:
    """The stored decision's allocation, decided anew, is printed; ClickException where there is none by that id, or it comes to another."""
    async with opened(database_of(load_settings())):
        found = await offers.decision(_decision_id(given))
    if found is None:
        raise click.ClickException("There is no decision by that id: they are kept 30 days.")
    instance, stored = found
    again = orjson.dumps(dump_allocation(allocate(parse_instance(orjson.loads(instance)), effort)))
    click.echo(again)
    if orjson.loads(again) != orjson.loads(stored):
        raise click.ClickException("This differs from the allocation that was stored.")
    click.echo("This equals the allocation that was stored.", err=True)


def _decision_id(given: str) -> UUID:
    """The id as the API tells it, or as the database has it."""
    found = parsed(given)
    if found is not None and found[0] == "BalancingDecision":
        return found[1]
    try:
        return UUID(given)
    except ValueError as error:
        raise click.ClickException(
            "This is not the id of a decision: ask the API for `decisions { nodes { id } }`."
        ) from error
