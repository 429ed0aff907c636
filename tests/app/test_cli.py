"""The command line as somebody new meets it."""

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from app.cli import COMMANDS, main


def test_the_first_page_names_every_command_in_the_order_of_need() -> None:
    """`lade --help` lists the table, each with one line, and no line is cut."""
    result = CliRunner().invoke(main, ["--help"], terminal_width=80)
    listed = re.findall(r"^  ([a-z-]+)  +(\S.*)$", result.stdout.split("Commands:")[1], re.MULTILINE)
    assert [name for name, _ in listed] == [*COMMANDS]
    assert [line for _, line in listed if line.endswith("...")] == []
    assert "\n    LADE_DATA_DIR      the folder for rows, files and the secret key   (.lade)\n" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    """Each is called what the table calls it and has a text, and each option a help."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").strip().splitlines()[0].strip()
    unexplained = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
    assert unexplained == []
    assert CliRunner().invoke(main, [name, "-h"]).exit_code == 0


def test_a_command_that_is_none_is_told_so() -> None:
    """As click does."""
    result = CliRunner().invoke(main, ["charge"])
    assert (result.exit_code, "No such command 'charge'" in result.output) == (2, True)


def test_the_first_page_is_there_at_once() -> None:
    """Neither the API nor the balancer is read in for it, which takes seconds."""
    asked = "import sys; from app.cli import main; main(['-h'], standalone_mode=False)"
    program = f"{asked}; print({{'gql', 'numba'}} & {{*sys.modules}})"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "set()"
