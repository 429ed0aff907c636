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


LOAD = "import sys, balancing.allocate as a; a.{does}(); print('balancing.answer' in sys.modules)"


def test_only_a_whole_set_of_machine_code_is_waited_for_at_a_start(tmp_path: Path) -> None:
    """Not what a process left that ended while it made it, nor what was copied from elsewhere: the rest takes minutes."""
    package = tmp_path / "one" / "balancing"
    shutil.copytree(ROOT, package.parent, ignore=lambda at, names: _but_python(at, names))

    def loads(package: Path, does: str = "load_machine_code") -> bool:
        # Nothing is compiled, which says nothing of what is kept.
        environment = {"NUMBA_DISABLE_JIT": "1"}
        command = [sys.executable, "-c", LOAD.format(does=does)]
        found = subprocess.run(command, cwd=package.parent, env=environment, capture_output=True, text=True, check=True)
        return found.stdout.strip() == "True"

    assert not loads(package)
    (Path(kept_in(package)) / "one.nbc").write_text("")
    assert not loads(package)
    assert loads(package, "make_ready")
    assert loads(package)
    copy = shutil.copytree(package.parent, tmp_path / "two") / "balancing"
    assert not loads(copy)


def _but_python(at: str, names: list[str]) -> list[str]:
    """What is not to be copied: all but the sources of `balancing` and of what it needs."""
    inside = Path(at) != ROOT
    return [
        name
        for name in names
        if name == "__pycache__" or (not inside and name not in {"balancing", "domain"}) or name.endswith(".sql")
    ]


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
