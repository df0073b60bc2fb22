"""What the repository says of itself agrees with itself."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rankrise._version import __version__

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins() -> list[Requirement]:
    lines = re.findall(r"^([A-Za-z0-9][^\\\n]*)", read("requirements.lock"), re.M)
    return [Requirement(line) for line in lines]


def direct_dependencies() -> list[Requirement]:
    pyproject = tomllib.loads(read("pyproject.toml"))
    project = pyproject["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        # `make venv` builds without isolation, so the backend comes from the lock.
        *pyproject["build-system"]["requires"],
    ]
    return [Requirement(line) for line in wanted]


def test_changelog_has_an_entry_for_the_version():
    assert re.search(rf"^## \[{re.escape(__version__)}\]", read("CHANGELOG.md"), re.M)


def test_citation_gives_the_version():
    stated = re.search(r"^version: (\S+)$", read("CITATION.cff"), re.M)
    assert stated is not None
    assert stated[1].strip("\"'") == __version__


def test_lock_satisfies_every_direct_dependency():
    pinned: dict[str, list[str]] = {}
    for pin in pins():
        (specifier,) = pin.specifier
        pinned.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    unmet = [
        str(wanted)
        for wanted in direct_dependencies()
        for versions in [pinned.get(canonicalize_name(wanted.name), [])]
        if not versions or not all(version in wanted.specifier for version in versions)
    ]
    assert unmet == []


def test_lock_has_hashes_and_names_no_place_to_download_from():
    text = read("requirements.lock")
    assert len(pins()) == len(re.findall(r"^\S.* \\\n    --hash=sha256:", text, re.M))
    options = re.findall(r"^-.*", text, re.M)
    assert options == []
    assert "://" not in text


def test_classifiers_and_workflow_name_the_same_pythons():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in project["classifiers"] if prefix in c]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r'"([\d.]+)"', matrix) == named
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"run: make (\S+)", workflow):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
