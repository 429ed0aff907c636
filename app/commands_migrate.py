"""`lade migrate`."""

import click

from app.database import database_of, migrate
from app.event_loop import run
from app.settings import load_settings


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database's tables to this version.

    `lade serve` does it by itself; this is for those who want it done before. Processes that migrate at the same time wait
    for each other.
    """
    applied = run(migrate(database_of(load_settings())))
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")
