"""`lade demo`."""

import sys
from dataclasses import asdict

import click
import orjson
from rich.console import Console

from app.demo.run import run_demo
from app.event_loop import run
from app.serve import listen
from app.settings import DEFAULT_HOST, DEFAULT_PORT, OperatorError
from balancing.allocate import load_machine_code


@click.command("demo")
@click.option("--for", "for_s", type=click.FloatRange(min=20), help="End after so many seconds.  [until Ctrl-C]")
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Port of the demo's server.  [{DEFAULT_PORT}, else a free one]"
)
@click.option("--seed", type=int, default=1, show_default=True, help="What people, history and cars are made from.")
def demo_command(for_s: float | None, port: int | None, seed: int) -> None:
    """Show a garage of 24 chargers under one 63 A breaker, with cars that come and go.

    A server of its own is started, a year of history is made, simulated chargers connect over OCPP, and the live table is
    what an owner sees through GraphQL. Sign-ins are shown. The last line of the output is one JSON object: what the cars
    say that they took, what was recorded, and how near the offers came to the breakers. Exit status 1 when these disagree.
    """
    load_machine_code()
    console = Console(stderr=True)
    summary = run(run_demo(port=_port(port), for_s=for_s, seed=seed, console=console))
    click.echo(orjson.dumps(asdict(summary)).decode())
    if summary.complaint is not None:
        click.echo(f"This should not happen: {summary.complaint}.", err=True)
        sys.exit(1)


def _port(asked: int | None) -> int:
    """The port asked for, which must be free; else the usual one or any other."""
    if asked is not None:
        listen(DEFAULT_HOST, asked).close()
        return asked
    try:
        usual = listen(DEFAULT_HOST, DEFAULT_PORT)
    except OperatorError:
        usual = listen(DEFAULT_HOST, 0)
    with usual:
        return int(usual.getsockname()[1])
