"""`lade schema`."""

import click

from gql.schema.sdl import sdl


@click.command("schema")
def schema_command() -> None:
    """Print the GraphQL schema (SDL), with every description."""
    click.echo(sdl(), nl=False)
