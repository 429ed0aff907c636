"""`lade create-admin`."""

import sys

import click

from app.auth import Argon2Passwords
from app.database import database_of, migrate, opened
from app.event_loop import run
from app.settings import load_settings
from domain.clock import SystemClock
from domain.identity.accounts import create_administrator


@click.command("create-admin")
@click.option("--name", prompt="Name", help="How the person is called.")
@click.option("--email", prompt="E-mail", help="The address to sign in with.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
def create_admin_command(name: str, email: str, password_stdin: bool) -> None:
    """Make an account with the portal-wide role of administrator.

    The password is asked for, twice; it is never an argument, because arguments are seen by everybody on the machine.
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    run(_create(name, email, password))
    click.echo(f"{email} can sign in now, as administrator.")


async def _create(name: str, email: str, password: str) -> None:
    database = database_of(load_settings())
    await migrate(database)
    passwords = Argon2Passwords()
    try:
        async with opened(database):
            await create_administrator(name, email, password, passwords=passwords, now=SystemClock().now())
    finally:
        passwords.close()
