"""What tests of a whole portal ask for."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path) -> Path:
    """The data folder of a portal that has been started before: its database is migrated, and empty."""
    shutil.copy(sqlite_template, tmp_path / "lade.sqlite3")
    return tmp_path
