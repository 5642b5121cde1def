"""What keeps a checkout from being released, what is built of it, and the command `make release` as a whole.

Tests `release.checks`, `release.distributions`, `release.command`.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from demo import children
from tests.release import checks, distributions
from tests.release.command import main

ROOT = Path(__file__).parents[2]


def git(checkout: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a maintainer", "-c", "user.email=maintainer@example.com")
    children.run(["git", "-C", checkout, *identity, *arguments], check=True, capture_output=True)


def ready(checkout: Path) -> Path:
    """Make a repository of a folder, and what it holds ready to be released: committed and tagged."""
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, checkout)
    version = checks.version_of(ROOT)
    change(checkout / "pyproject.toml", "/OWNER/", "/a-bistro/")
    change(checkout / "pyproject.toml", '    "Private :: Do Not Upload",\n', "")
    change(checkout / "README.md", checks.UNRELEASED, "as usual")
    change(checkout / "CHANGELOG.md", f"## {version} (unreleased)", f"## {version} (2026-11-30)")
    git(checkout, "init", "--quiet", "--initial-branch=main")
    commit(checkout)
    git(checkout, "tag", f"v{version}")
    return checkout


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """A repository with what is looked at before anything is built."""
    made = tmp_path / "facts"
    (made / "airflow_provider_dotypos").mkdir(parents=True)
    shutil.copy(ROOT / "airflow_provider_dotypos" / "__init__.py", made / "airflow_provider_dotypos")
    return ready(made)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with all that the package is built of, and that its description leads to."""
    made = tmp_path / "checkout"
    made.mkdir()
    for name in ("LICENSE", ".gitignore", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, made)
    for name in ("airflow_provider_dotypos", "example_dags", "docs"):
        shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    return ready(made)


def change(file: Path, old: str, new: str) -> None:
    """Replace a text in a file; nothing happens if the file doesn't have it, as after a release."""
    file.write_text(file.read_text().replace(old, new))


def commit(checkout: Path) -> None:
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message=A release")


def test_nothing_keeps_a_ready_checkout_from_being_released(facts: Path) -> None:
    assert list(checks.problems(facts)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pyproject.toml", "/a-bistro/", "/OWNER/", "Replace OWNER by the owner"),
        ("pyproject.toml", '    "Framework', '    "Private :: Do Not Upload",\n    "Framework', "Remove it"),
        ("CHANGELOG.md", "(2026-11-30)", "(unreleased)", "has no date for"),
        ("CHANGELOG.md", "## 0.1.0", "## 0.0.9", "has no section"),
        ("README.md", "## Install", "## Install it, once it\nis released", "is released"),
        ("airflow_provider_dotypos/__init__.py", '__version__ = "0.1.0"', '__version__ = "9.9.9"', "no tag v9.9.9"),
    ],
)
def test_what_is_unfinished_keeps_it(facts: Path, file: str, old: str, new: str, problem: str) -> None:
    path = facts / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    commit(facts)
    git(facts, "tag", "--force", f"v{checks.version_of(ROOT)}")
    assert problem in "\n".join(checks.problems(facts))


def test_this_checkout_is_uploaded_by_nobody_until_its_addresses_are_known() -> None:
    """PyPI refuses an upload without `make release`, as long as the addresses are nobody's."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert ("/OWNER/" in pyproject) == ('"Private :: Do Not Upload",' in pyproject)


def test_a_release_is_of_the_tagged_commit(facts: Path) -> None:
    (facts / "forgotten.txt").write_text("not committed")
    (problem,) = checks.problems(facts)
    assert "aren't committed" in problem
    commit(facts)
    (problem,) = checks.problems(facts)
    assert "is at another commit" in problem


def test_a_refused_release_builds_nothing(facts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (facts / "dist").mkdir()
    (facts / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert main([], facts) == 1
    printed = capsys.readouterr().err
    assert "OWNER" in printed
    assert "aren't committed" in printed
    assert list((facts / "dist").iterdir()) == []


def test_what_is_released_is_built_of_the_commit_and_right(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "dist").mkdir()
    (checkout / "dist" / "of-an-earlier-version.whl").touch()
    assert main(["--no-isolation"], checkout) == 0, capsys.readouterr().err
    version = checks.version_of(ROOT)
    name = f"airflow_provider_dotypos-{version}"
    assert {path.name for path in (checkout / "dist").iterdir()} == {f"{name}.tar.gz", f"{name}-py3-none-any.whl"}
    printed = capsys.readouterr().out
    assert f"git push origin v{version}" in printed
    assert "twine upload" in printed

    built = distributions.Distributions(*sorted((checkout / "dist").iterdir(), key=lambda path: path.suffix))
    addresses = dict(value.split(", ") for value in built.metadata.get_all("Project-URL") or ())
    assert addresses.keys() == {"Documentation", "Source", "Issues", "Changelog"}
    assert all(address.startswith(addresses["Source"]) for address in addresses.values())
    leading = distributions.links(str(built.metadata.get_payload()))
    source = f"{addresses['Source']}/blob/v{version}/"
    assert f"{source}docs/index.md" in leading
    assert f"{source}example_dags/example_dotypos_first_orders.py" in leading
    assert any(address.endswith(f"/v{version}/docs/images/connect-page.png") for address in leading)
    assert list(distributions.problems(built, checkout)) == []


def test_a_wheel_that_is_wrong_is_noticed(checkout: Path, tmp_path: Path) -> None:
    (checkout / "README.md").write_text(
        "See [a page](docs/no-such-page.md), [tests](tests/test_docs.py), ![a picture](pictures/till.png)."
    )
    (checkout / "airflow_provider_dotypos" / "left.db").touch()
    built = distributions.build(checkout, tmp_path / "built", isolated=False)
    with zipfile.ZipFile(built.wheel, "a") as archive:
        archive.writestr("tests/__init__.py", "")
    (checkout / "airflow_provider_dotypos" / "lost.py").touch()
    problems = "\n".join(distributions.problems(built, checkout))
    assert "lacks airflow_provider_dotypos/lost.py" in problems
    assert "isn't of the package: tests/__init__.py" in problems
    assert "holds airflow_provider_dotypos/left.db, tests/__init__.py" in problems
    for address in ("tests/test_docs.py", "pictures/till.png", "docs/no-such-page.md"):
        assert f"leads to {address}" in problems
