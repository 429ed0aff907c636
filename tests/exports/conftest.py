"""What tests of files may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.writing import WritingProcess
from tests import factories
from tests.exports.office import Office
from tests.factories import Town


@pytest.fixture(scope="module")
def writing() -> Iterator[WritingProcess]:
    process = WritingProcess()
    yield process
    process.close()


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


@pytest.fixture
async def office(tmp_path: Path, writing: WritingProcess) -> Office:
    return Office(tmp_path / "exports", writing)
