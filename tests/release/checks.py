"""What keeps a checkout from being released."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from demo import children

#: Stands for the owner of the repository in ``pyproject.toml`` until there is one.
PLACEHOLDER = "OWNER"
#: PyPI refuses distributions with a classifier that begins so. `pyproject.toml` has it as long as `PLACEHOLDER`.
PRIVATE = "Private ::"
#: What the README says about installing before the first release.
UNRELEASED = "once it is released"


def version_of(checkout: Path) -> str:
    """Return the version that a checkout's package has."""
    text = (checkout / "airflow_provider_dotypos" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.M)
    return version


def problems(checkout: Path) -> Iterator[str]:
    """Yield what keeps a checkout from being released, each with the cure."""
    yield from _of_metadata((checkout / "pyproject.toml").read_text())
    version = version_of(checkout)
    yield from _of_changelog((checkout / "CHANGELOG.md").read_text(), version)
    if UNRELEASED in " ".join((checkout / "README.md").read_text().split()):
        yield f'README.md still says "{UNRELEASED}". It is what PyPI shows: say how to install the package'
    yield from _of_git(checkout, f"v{version}")


def _of_metadata(pyproject: str) -> Iterator[str]:
    if re.search(rf"\b{PLACEHOLDER}\b/", pyproject):
        yield (
            f"pyproject.toml has the addresses of nobody's repository. Replace {PLACEHOLDER} by the owner of yours: "
            f"sed -i 's|/{PLACEHOLDER}/|/the-owner/|' pyproject.toml"
        )
    if re.search(rf'^ *"{PRIVATE}', pyproject, re.M):
        yield f'pyproject.toml has a classifier "{PRIVATE} …", which makes PyPI refuse the upload. Remove it'


def _of_changelog(changelog: str, version: str) -> Iterator[str]:
    heading = re.search(rf"^## {re.escape(version)}\b(.*)$", changelog, re.M)
    if heading is None:
        yield f"CHANGELOG.md has no section {version}. Add it, or correct __version__"
    elif not re.fullmatch(r" \(\d{4}-\d\d-\d\d\)", heading[1]):
        yield f"CHANGELOG.md has no date for {version}. Its heading must be like: ## {version} (2026-11-30)"


def _of_git(checkout: Path, tag: str) -> Iterator[str]:
    if _git(checkout, "status", "--porcelain"):
        yield "The checkout has changes that aren't committed. A release is made of a commit: commit or remove them"
    tagged = _git(checkout, "rev-list", "-n", "1", "--end-of-options", f"refs/tags/{tag}")
    if not tagged:
        yield f"The commit has no tag {tag}, to which the links on PyPI lead. Set it: git tag -a {tag} -m {tag}"
    elif tagged != _git(checkout, "rev-parse", "HEAD"):
        yield f"The tag {tag} is at another commit. Check that one out, or raise __version__ if it has been released"


def _git(checkout: Path, *arguments: str) -> str:
    done = children.run(["git", "-C", checkout, *arguments], capture_output=True, text=True)
    return str(done.stdout).strip() if done.returncode == 0 else ""
