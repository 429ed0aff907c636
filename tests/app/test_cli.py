"""The command line as somebody new meets it."""

import re

import click
import pytest
from click.testing import CliRunner

from app.cli import COMMANDS, main

NAMES = [command.name for command in COMMANDS]


def test_the_first_page_names_every_command_in_the_order_of_need() -> None:
    """`lade --help` lists the table, each with one line, and no line is cut."""
    result = CliRunner().invoke(main, ["--help"], terminal_width=80)
    listed = re.findall(r"^  ([a-z-]+)  +(\S.*)$", result.stdout.split("Commands:")[1], re.MULTILINE)
    assert [name for name, _ in listed] == NAMES
    assert [line for _, line in listed if line.endswith("...")] == []
    assert "\n    LADE_DATA_DIR      the folder for rows, files and the secret key   (.lade)\n" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_command_and_option_is_explained(command: click.Command) -> None:
    """Each has a text, and each option a help."""
    assert (command.help or "").strip().splitlines()[0].strip()
    unexplained = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
    assert unexplained == []
    assert CliRunner().invoke(main, [str(command.name), "-h"]).exit_code == 0
