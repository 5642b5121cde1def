"""The sdist and the wheel: how they are built, and what must be true of them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from readme_renderer import markdown

from demo import children

NAME = "airflow_provider_dotypos"
#: Files of the wheel's own metadata that differ without a difference: they list the others' digests.
_RECORD = re.compile(r"\.dist-info/RECORD$")
_FORBIDDEN = re.compile(r"(^|/)(tests|__pycache__|\.work|\.venv)/|\.(pyc|db|log|cfg)$|(^|/)\.env")


class BuildError(Exception):
    """A distribution couldn't be built. The message holds what the build printed."""


@dataclass(frozen=True)
class Distributions:
    """What is uploaded.

    :ivar sdist: the source distribution.
    :ivar wheel: built from it.
    """

    sdist: Path
    wheel: Path

    @cached_property
    def metadata(self) -> Message:
        """The wheel's metadata, as PyPI reads them."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            return HeaderParser().parsestr(archive.read(name).decode())

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of each of the wheel's files, by name."""
        return digests(self.wheel)

    def sources(self) -> set[str]:
        """Return the names of the sdist's files, below its folder."""
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}


def build(checkout: Path, folder: Path, *, isolated: bool = True) -> Distributions:
    """Build the sdist, and the wheel of it.

    :param checkout: of what. :param folder: where they are to be; it must be empty.
    :param isolated: whether the build's requirements are installed for it, as at the user's. Otherwise those of this
        environment are used.
    :raises BuildError: if a build fails.
    """
    _build(checkout, folder, isolated)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Distributions(sdist, wheel)


def build_wheel(checkout: Path, folder: Path, *, isolated: bool = True) -> Path:
    """Build the wheel of a checkout, without an sdist in between; see `build`."""
    _build(checkout, folder, isolated, "--wheel")
    (wheel,) = folder.glob("*.whl")
    return wheel


def digests(wheel: Path) -> dict[str, str]:
    """Return the SHA-256 of each of a wheel's files, by name, without the list that the wheel has of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not _RECORD.search(name)
        }


def problems(built: Distributions, checkout: Path) -> Iterator[str]:
    """Yield what is wrong with the distributions of a checkout."""
    names = set(built.files())
    wanted = {
        f"{NAME}/{path.relative_to(checkout / NAME).as_posix()}"
        for path in (checkout / NAME).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"{NAME}/example_dags/{path.name}" for path in (checkout / "example_dags").glob("*.py")}
    own = {name for name in names if ".dist-info/" not in name}
    if missing := sorted(wanted - own):
        yield f"The wheel lacks {', '.join(missing)}"
    if more := sorted(own - wanted):
        yield f"The wheel holds what isn't of the package: {', '.join(more)}"
    if hidden := sorted(name for name in names if _FORBIDDEN.search(name)):
        yield f"The wheel holds {', '.join(hidden)}"
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        yield "The wheel lacks the licence"
    if lacking := sorted({"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} - built.sources()):
        yield f"The sdist lacks {', '.join(lacking)}"
    yield from _of_description(built.metadata, checkout)


def links(markdown_text: str) -> list[str]:
    """Return where links and pictures of a text lead, as PyPI renders it.

    :raises ValueError: if PyPI couldn't render it.
    """
    rendered = markdown.render(markdown_text)
    if rendered is None:
        raise ValueError("PyPI can't render the description")
    found = _Links()
    found.feed(rendered)
    return found.addresses


def _of_description(metadata: Message, checkout: Path) -> Iterator[str]:
    """Links on PyPI's page must lead out of it, and those to the repository to files that exist."""
    addresses = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL") or ())
    source = urlsplit(addresses["Source"]).path
    for address in links(str(metadata.get_payload())):
        parts = urlsplit(address)
        if parts.fragment.startswith("user-content-") and not parts.path:
            continue  # within the page: PyPI writes the headings' names so
        if parts.scheme not in ("https", "http"):
            yield f"The long description leads to {address}, which exists in the repository only"
            continue
        ours = re.match(rf"{re.escape(source)}/(?:blob/)?v{re.escape(metadata['Version'])}/(.+)", parts.path)
        if ours and not (checkout / ours[1]).is_file():
            yield f"The long description leads to {ours[1]}, which doesn't exist"


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if (tag, name) in (("a", "href"), ("img", "src"))]


def _build(checkout: Path, folder: Path, isolated: bool, *arguments: str) -> None:
    installed = all(importlib.util.find_spec(name) for name in ("hatchling", "hatch_fancy_pypi_readme"))
    more = [] if isolated or not installed else ["--no-isolation"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))}
    done = children.run(
        [sys.executable, "-m", "build", *arguments, *more, "--outdir", folder, checkout],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(done.stdout + done.stderr)
