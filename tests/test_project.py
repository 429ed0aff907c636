"""The project agrees with itself: its lock, its names, its files."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import gql

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked() -> dict[str, tuple[Version, str]]:
    """Every locked package: its version and the text of its hashes."""
    found: dict[str, tuple[Version, str]] = {}
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        requirement = Requirement(block.split("\\\n")[0].strip())
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = (Version(pin.version), block)
    return found


def test_gql_is_our_own_package() -> None:
    """The name `gql` means our typed edge, and the lock keeps the client of that name away."""
    assert Path(gql.__file__ or "").parent == ROOT / "gql"
    assert "gql" not in locked()


def test_the_lock_satisfies_every_declared_dependency() -> None:
    """Each dependency of the project, of its tools and of its build is locked to a version that was asked for."""
    declared = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    versions = locked()
    requirements = [Requirement(line) for line in declared]
    unsatisfied = [str(one) for one in requirements if versions[canonicalize_name(one.name)][0] not in one.specifier]
    assert unsatisfied == []


def test_the_lock_has_hashes_and_no_addresses() -> None:
    """Every locked package has hashes, and nothing says where it came from."""
    assert [name for name, (_, block) in locked().items() if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK
    assert "index-url" not in LOCK


@pytest.mark.parametrize(
    "lock", sorted([*ROOT.glob("tests/*/package-lock.json"), *ROOT.glob("bench/*/package-lock.json")]), ids=str
)
def test_the_locks_of_npm_have_hashes_and_no_addresses(lock: Path) -> None:
    """Every package that npm may install has a hash, and nothing says where it comes from."""
    text = lock.read_text()
    packages = {name: one for name, one in json.loads(text)["packages"].items() if name}
    assert packages
    assert [name for name, one in packages.items() if "integrity" not in one] == []
    assert "resolved" not in text
    assert "://" not in text
    assert (lock.parent / ".npmrc").read_text() == "omit-lockfile-registry-resolved=true\n"


def test_dependencies_are_explained() -> None:
    """docs/dependencies.md has a line for each runtime dependency, and none for what is no longer one."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    runtime = text.split("## Runtime")[1].split("\n## ")[0]
    explained = set(re.findall(r"^\| `([a-z0-9-]+)", runtime, re.MULTILINE))
    assert explained == {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
