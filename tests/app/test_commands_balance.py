"""`lade balance` at the terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main

SCENARIOS = Path(__file__).parents[1] / "balancing/scenarios"
SITE = SCENARIOS / "01_no_rotation_one_phase.json"


def compact(path: Path = SITE) -> str:
    """The instance of a scenario in one line."""
    document = json.loads(path.read_text())
    return json.dumps(document.get("instance", document))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An instance in a file."""
    path = tmp_path / "site.json"
    path.write_text(compact())
    return path


def test_an_instance_in_a_file_is_answered(site: Path) -> None:
    """The allocation names the instance and each of its chargers once."""
    result = CliRunner().invoke(main, ["balance", str(site)])
    assert result.exit_code == 0, result.output
    answer, asked = json.loads(result.stdout), json.loads(compact())
    assert (answer["format"], answer["instance"]) == ("ev-balance-allocation/1", asked["id"])
    assert sorted(one["charger"] for one in answer["allocation"]) == sorted(one["id"] for one in asked["chargers"])


def test_standard_input_has_a_name(site: Path) -> None:
    """- reads the same instance from standard input and gives the same answer."""
    piped = CliRunner().invoke(main, ["balance", "-"], input=compact())
    assert piped.stdout == CliRunner().invoke(main, ["balance", str(site)]).stdout


def test_a_wrong_instance_is_refused_with_its_field(tmp_path: Path) -> None:
    """The message names the file and the field; nothing is printed on standard output."""
    document = json.loads(compact())
    del document["chargers"][0]["state"]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    result = CliRunner().invoke(main, ["balance", str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {path}: chargers[0].state: is missing\n"


def test_every_line_has_its_answer(site: Path) -> None:
    """A wrong line is answered in its place and the others go on; the exit status tells of it. Empty lines ask nothing."""
    lines = "\n".join([compact(), "", '{"format":"ev-balance/2"}', "{", compact()])
    result = CliRunner().invoke(main, ["balance", "--lines"], input=lines)
    first, wrong_format, no_json, last = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert first == last
    assert wrong_format == {"line": 3, "field": "format", "error": "is not 'ev-balance/1'"}
    assert (no_json["line"], no_json["field"]) == (4, "document")
    good = CliRunner().invoke(main, ["balance", "--lines", str(site)])
    assert (good.exit_code, json.loads(good.stdout)) == (0, first)


def test_a_line_is_answered_before_the_next_is_asked() -> None:
    """A program that asks line by line never waits for a buffer."""
    with subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", "balance", "--lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(compact() + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["format"] == "ev-balance-allocation/1"
        process.stdin.close()
        assert process.wait() == 0


def test_something_must_be_asked() -> None:
    """Without a file and without --lines the use is explained."""
    result = CliRunner().invoke(main, ["balance"])
    assert result.exit_code == 2
    assert "Name a FILE (- for standard input), or say --lines." in result.stderr
