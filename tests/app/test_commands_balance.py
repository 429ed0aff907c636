"""`lade balance` at the terminal."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from app.cli import main
from app.database import Database, opened
from balancing.allocate import allocate
from balancing.document import dump_allocation, parse_instance
from domain.current import offers
from domain.ids import new_id
from domain.models import BalancingDecision
from gql.ids import global_id
from tests.conftest import in_own_loop

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
    no_number = compact().replace("25.0", "NaN", 1)
    lines = "\r\n".join(["\ufeff" + compact(), "", '{"format":"ev-balance/2"}', "{", no_number, compact()])
    result = CliRunner().invoke(main, ["balance", "--lines"], input=lines)
    first, wrong_format, no_json, no_finite, last = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert first == last
    assert wrong_format == {"line": 3, "field": "format", "error": "is not 'ev-balance/1'"}
    assert (no_json["line"], no_json["field"]) == (4, "document")
    assert no_finite == {"line": 5, "field": "circuits[0].fuse[0]", "error": "is NaN, not a finite number"}
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


def one_small_car() -> dict[str, object]:
    """A site with a car that takes no more than its minimum."""
    document: dict[str, object] = json.loads(compact())
    chargers = document["chargers"]
    assert isinstance(chargers, list)
    document["chargers"] = [{**chargers[0], "state": "charging", "vehicle": {"phases": 1, "max_current": 6}}]
    return document


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_template: Path) -> UUID:
    """A decision in the database that the terminal's settings name."""
    for name in ("LADE_DATABASE_URL", "LADE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LADE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    path, found = Path(shutil.copy(sqlite_template, tmp_path / "lade.sqlite3")), []

    async def store() -> None:
        site_id = new_id()
        async with opened(Database(sqlite_file=path)):
            allocation = json.dumps(dump_allocation(allocate(parse_instance(one_small_car()))))
            await offers.record_decision(
                site_id,
                triggered_by="change",
                instance=json.dumps(one_small_car()),
                allocation=allocation,
                now=datetime(2026, 3, 1, tzinfo=UTC),
            )
            found.append((await BalancingDecision.get(installation_id=site_id)).id)

    in_own_loop(store())
    return found[0]


def test_a_stored_decision_comes_to_the_same(kept: UUID) -> None:
    """By the id that the API tells, or the database's."""
    for given in (global_id("BalancingDecision", kept), str(kept)):
        result = CliRunner().invoke(main, ["balance", "--decision", given])
        assert (result.exit_code, result.stderr) == (0, "This equals the allocation that was stored.\n")
        (setpoint,) = json.loads(result.stdout)["allocation"]
        assert setpoint["current"] == 6.0


def test_a_decision_that_comes_to_another_says_so(kept: UUID, tmp_path: Path) -> None:
    """What was decided anew is printed, and the exit status is 1."""

    async def change() -> None:
        async with opened(Database(sqlite_file=tmp_path / "lade.sqlite3")):
            await BalancingDecision.filter(id=kept).update(allocation="{}")

    in_own_loop(change())
    result = CliRunner().invoke(main, ["balance", "--decision", str(kept)])
    assert (result.exit_code, result.stderr) == (1, "Error: This differs from the allocation that was stored.\n")
    assert json.loads(result.stdout)["allocation"][0]["current"] == 6.0


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (str(UUID(int=1)), 1, "There is no decision by that id: they are kept 30 days."),
        ("nonsense", 1, "This is not the id of a decision"),
        (global_id("Charger", UUID(int=1)), 1, "This is not the id of a decision"),
    ],
)
def test_a_decision_that_is_not_there(given: str, status: int, message: str) -> None:
    """Unknown, forgotten or no id at all: one message."""
    result = CliRunner().invoke(main, ["balance", "--decision", given])
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr


def test_a_decision_is_not_read_beside_a_file(site: Path) -> None:
    """One or the other."""
    result = CliRunner().invoke(main, ["balance", str(site), "--decision", "x"])
    assert result.exit_code == 2


def test_a_database_without_tables_is_said_to_lack_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder that was named by mistake, or is not migrated yet, gets one clear message."""
    monkeypatch.delenv("LADE_DATABASE_URL", raising=False)
    monkeypatch.setenv("LADE_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(main, ["balance", "--decision", str(UUID(int=1))])
    message = "Error: The database lacks tables of this version: run `lade migrate` first.\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
