"""Build and check what goes to PyPI. Ends with 1 if something keeps it from being released."""

# ruff: noqa: T201 (a command, which prints)

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from demo import children
from tests.release import checks, distributions

CHECKOUT = Path(__file__).parents[2]

NEXT = """
{folder} holds what is to be uploaded:

{files}

Next, as a maintainer of the project on PyPI:

  1. make wheelcheck                                 installs this wheel on each Airflow, and tries it (6 minutes)
  2. {python} -m twine upload -r testpypi {folder}/*    if you want to see the page first
  3. git push origin v{version}                          the links on PyPI lead to this tag
  4. {python} -m twine upload {folder}/*                for good: PyPI never takes a version twice
  5. a release of the tag on GitHub, with the section {version} of CHANGELOG.md
"""


def main(argv: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """Build and check; return the exit code."""
    parser = argparse.ArgumentParser(prog="make release", description="Build and check what goes to PyPI.")
    parser.add_argument(
        "--rehearse", action="store_true", help="build and check what is committed, release or not; keep nothing"
    )
    parser.add_argument("--no-isolation", action="store_true", help="build with what is installed here")
    asked = parser.parse_args(argv)
    found = list(checks.problems(checkout))
    if found and not asked.rehearse:
        return refuse("This can't be released", found)
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        folder = Path(temporary)
        try:
            wrong = build_and_check(checkout, folder, isolated=not asked.no_isolation)
        except distributions.BuildError as error:
            return refuse("The build failed", [str(error)])
        if wrong:
            return refuse("What was built isn't right", wrong)
        version = checks.version_of(checkout)
        if asked.rehearse:
            print(f"The sdist and the wheel of {version} are right.")
            for problem in found:
                print(f"A release would be refused: {problem}.")
            return 0
        dist = checkout / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(folder / "dist", dist)
    files = "\n".join(f"  {path.name}  {path.stat().st_size:,} bytes" for path in sorted(dist.iterdir()))
    print(NEXT.format(folder=dist.name, files=files, version=version, python=sys.executable))
    return 0


def build_and_check(checkout: Path, folder: Path, *, isolated: bool) -> list[str]:
    """Build what a checkout has committed, and return what is wrong with it.

    :param folder: for all files; ``dist`` in it is what is to be uploaded.
    """
    clone = commit_of(checkout, folder)
    built = distributions.build(clone, folder / "dist", isolated=isolated)
    print("The sdist is built, and the wheel of it.", flush=True)
    wrong = list(distributions.problems(built, clone))
    straight = distributions.build_wheel(clone, folder / "straight", isolated=isolated)
    if distributions.digests(straight) != built.files():
        wrong.append("The wheel of the sdist is another one than that of the checkout")
    check = [sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel]
    done = children.run(check, capture_output=True, text=True)
    if done.returncode:
        wrong.append(f"twine check --strict refuses it:\n{done.stdout}{done.stderr}")
    return wrong


def commit_of(checkout: Path, folder: Path) -> Path:
    """Return a clone with what is committed, or the checkout itself if it isn't a repository (in a rehearsal)."""
    if not (checkout / ".git").exists():
        return checkout
    clone = folder / "clone"
    children.run(["git", "clone", "--quiet", checkout, clone], check=True)
    return clone


def refuse(what: str, reasons: list[str]) -> int:
    """Print why nothing is released."""
    print(f"{what}:\n", file=sys.stderr)
    for reason in reasons:
        print(f"- {reason}.", file=sys.stderr)
    return 1
