"""A stored decision of the balancer, decided anew: `lade balance --decision ID`."""

from uuid import UUID

import click
import orjson

from app.database import database_of, opened, pending_migrations
from app.event_loop import run
from app.settings import load_settings
from balancing.allocate import allocate
from balancing.document import dump_allocation, parse_instance
from domain.current import offers
from domain.global_ids import parsed


def print_decided_anew(given: str, *, effort: int) -> None:
    """The stored decision's allocation, decided anew, is printed; ClickException where there is none by that id, or it comes to another."""
    run(_print_decided_anew(given, effort=effort))


async def _print_decided_anew(given: str, *, effort: int) -> None:
    decision_id = _decision_id(given)
    async with opened(database_of(load_settings())):
        if await pending_migrations():
            raise click.ClickException("The database lacks tables of this version: run `lade migrate` first.")
        found = await offers.decision(decision_id)
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
