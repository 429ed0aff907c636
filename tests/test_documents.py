"""What the documents show is there: operations, links, settings, commands and metrics."""

import json
import re
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from app.cli import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCHEMA = build_schema((ROOT / "gql" / "schema" / "schema.graphql").read_text())
OPERATIONS = [
    pytest.param(text, id=f"{path.stem}-{number}")
    for path in DOCUMENTS
    for number, text in enumerate(re.findall(r"```graphql\n(.*?)```", path.read_text(), re.DOTALL), start=1)
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_fit_the_schema(operation: str) -> None:
    """Whoever copies an operation from a document can send it."""
    assert validate(SCHEMA, parse(operation)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file or folder of the repository, and no path is of somebody's own machine."""
    text = path.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert re.findall(r"/(?:home|root|work|tmp|Users)/\S*", text) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_what_is_shown_by_a_test_is(path: Path) -> None:
    """Each `file.py::test_name` is a test."""
    named = re.findall(r"`(?:tests/)?([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", path.read_text())
    assert [name for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()] == []


def test_every_setting_has_its_row() -> None:
    """docs/operations.md tells of each variable that app reads, and of no other."""
    read = set[str]()
    for path in (ROOT / "app").glob("*.py"):
        read |= set(re.findall(r'"(LADE_[A-Z_]+)"', path.read_text()))
    rows = re.findall(r"^\| (`LADE_[^|]*)\|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"LADE_[A-Z_]+", " ".join(rows))) == read


def test_every_command_is_in_the_changelog() -> None:
    """Who updates learns of each command."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in COMMANDS if f"`lade {name}`" not in text] == []


def test_the_dashboard_shows_each_metric_and_no_other() -> None:
    """docs/grafana/lade.json asks for families that app/metrics.py has, each of ours at least once, and for some of the process' own."""
    dashboard = json.loads((ROOT / "docs" / "grafana" / "lade.json").read_text())
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    # A counter and a histogram have names of their own in the exposition, by their family's.
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"lade_[a-z_]+", asked)}
    source = (ROOT / "app" / "metrics.py").read_text()
    families = set(re.findall(r'"(lade_[a-z_]+)"', source))
    for prefix in ("bus", "ingest"):
        table = re.findall(r'^ {12}\("([a-z_]+)", "', source.partition(f'f"lade_{prefix}_')[0][-1200:], re.MULTILINE)
        families |= {f"lade_{prefix}_{name}" for name in table}
    assert shown == families
    foreign = set(re.findall(r"(?<![a-z_])(?:process|python)_[a-z_]+", asked))
    assert foreign == {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "python_gc_collections_total",
    }
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Health", "Live", "Devices", "Balancing", "Mail", "Exports and other queues", "Database"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_metric_is_told() -> None:
    """docs/operations.md names each family of ours, in full or by what follows its prefix."""
    text = (ROOT / "docs" / "operations.md").read_text()
    source = (ROOT / "app" / "metrics.py").read_text()
    names = re.findall(r'"(lade_[a-z_]+)"', source)
    assert [name for name in names if name not in text] == []
