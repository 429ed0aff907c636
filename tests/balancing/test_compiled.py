"""Machine code is that of the sources that are there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from balancing.compiled import SOURCES

ROOT = Path(__file__).parents[2]

ASK = "import balancing.compiled as c, numba; print(numba.config.CACHE_DIR)"


def kept_in(package: Path, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], cwd=package.parent, env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def test_a_changed_source_gets_machine_code_of_its_own(tmp_path: Path) -> None:
    """A function's machine code contains that of others, so a change in any file makes all of it anew and removes the old."""
    package = tmp_path / "balancing"
    shutil.copytree(ROOT / "balancing", package, ignore=shutil.ignore_patterns("__pycache__"))
    before = kept_in(package)
    (package / "filling.py").write_text((package / "filling.py").read_text() + "\n")
    after = kept_in(package)
    assert Path(before).parent == Path(after).parent == package / "__pycache__"
    assert before != after
    assert not Path(before).exists()
    assert kept_in(package) == after


def test_an_installed_package_that_nobody_may_write_to_keeps_it_in_the_users_cache(tmp_path: Path) -> None:
    """Where a file stands in the folder's way, machine code goes to the user's cache."""
    package = tmp_path / "balancing"
    shutil.copytree(ROOT / "balancing", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__pycache__").write_text("in the way")
    assert kept_in(package, XDG_CACHE_HOME=str(tmp_path / "cache")).startswith(str(tmp_path / "cache" / "lade"))


def test_whatever_becomes_machine_code_is_one_of_its_sources() -> None:
    """Each file that compiles functions, and each that one of those takes constants or functions from, but for the question's words."""
    folder = ROOT / "balancing"
    texts = {path.stem: path.read_text() for path in folder.glob("*.py")}
    compiling = {
        name for name, text in texts.items() if "@compiled" in text or "@in_place" in text or name == "compiled"
    }
    taken_from = {
        found for name in compiling for found in re.findall(r"^from balancing\.(\w+) import", texts[name], re.MULTILINE)
    }
    assert (compiling | taken_from) - {"circuit"} == set(SOURCES)
