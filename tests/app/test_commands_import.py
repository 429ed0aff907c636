"""`lade import-sessions` at the terminal."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main

MAPPING = Path(__file__).parents[2] / "docs/mappings/norway-garages.toml"
HEADER = "session_ID;Garage_ID;User_ID;User_type;Shared_ID;Start_plugin;End_plugout;El_kWh\n"
GOOD = "1;G;G-1;Private;NA;31.01.2019 22:00;31.01.2019 23:00;7,25\n"
BROKEN = "2;G;G-1;Private;NA;yesterday;NA;7\n"
LATIN = "3;G;Åse;Private;NA;31.01.2019 22:00;NA;1\n"


@pytest.fixture
def lade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("LADE_DATABASE_URL", "LADE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LADE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def _run(lade: CliRunner, *arguments: str | Path) -> Result:
    return lade.invoke(main, ["import-sessions", *map(str, arguments), "--mapping", str(MAPPING)])


def _file(tmp_path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "sessions.csv"
    path.write_bytes("".join((HEADER, *lines)).encode(encoding))
    return path


def test_the_last_line_of_output_is_one_json_object(lade: CliRunner, tmp_path: Path) -> None:
    """A second run adds nothing and says the same of the file."""
    file = _file(tmp_path, GOOD, BROKEN)
    figures = {"sessions": 1, "installations": 1, "people": 1, "energyWh": 7_250, "added": 1, "rejected": 1}
    first = _run(lade, file, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout.splitlines()[-1]) == figures
    second = _run(lade, file, "--json")
    assert json.loads(second.stdout.splitlines()[-1]) == {**figures, "added": 0}


def test_rejected_lines_are_told_with_their_number_and_kept_in_a_file(lade: CliRunner, tmp_path: Path) -> None:
    """Broken rows never stop the rest; bytes of another encoding spoil their own line only."""
    file = _file(tmp_path, BROKEN, LATIN, GOOD, encoding="latin-1")
    result = _run(lade, file, "--rejects", tmp_path / "rejects.txt")
    assert result.exit_code == 0
    lines = (tmp_path / "rejects.txt").read_text().splitlines()
    assert lines[0] == "line 2: Start_plugin: 'yesterday' is no date and time in the form %d.%m.%Y %H:%M"
    assert lines[1].startswith("line 3: User_ID: ")
    assert all(line in result.stderr for line in lines)
    assert "1 sessions of 1 people at 1 chargers in 1 installations, 7.250 kWh; 1 added" in result.stderr


def test_a_dry_run_leaves_no_session(lade: CliRunner, tmp_path: Path) -> None:
    """What would be added is told, and still to be added afterwards."""
    file = _file(tmp_path, GOOD)
    assert "1 would be added" in _run(lade, file, "--dry-run").stderr
    assert json.loads(_run(lade, file, "--json").stdout.splitlines()[-1])["added"] == 1


def test_what_cannot_be_used_is_said_in_words(lade: CliRunner, tmp_path: Path) -> None:
    """A missing file, another file's columns, no TOML, a wrong mapping: status 2 and what to do, no traceback."""
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("source = ")
    half = tmp_path / "half.toml"
    half.write_text('source = "x"')
    for arguments, words in (
        ((tmp_path / "none.csv", "--mapping", MAPPING), "cannot be read"),
        ((other, "--mapping", MAPPING), "The file has no column 'Start_plugin'"),
        ((other, "--mapping", wrong), "is not TOML"),
        ((other, "--mapping", half), "The mapping is wrong"),
        ((other, "--mapping", tmp_path / "none.toml"), "cannot be read"),
    ):
        result = lade.invoke(main, ["import-sessions", *map(str, arguments)])
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        assert "Traceback" not in result.output
