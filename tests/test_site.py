"""The site: what ``make docs`` makes of pages and docstrings, and what it would refuse. Nothing is built here."""

from __future__ import annotations

import inspect
import re
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos._compat import has_retry_policies
from docs import api_pages, build

pytestmark = pytest.mark.skipif(not has_retry_policies(), reason="the site is built on the newest Airflow")

#: Pictures and links of a page that a test makes.
PAGE = '<p id="here">x</p><a href="{link}">x</a><img src="{picture}">'

#: Bases of operators, whose subclasses say what the parameters mean, and classes whose constructors nobody calls.
TOLD_ELSEWHERE = {"DotyposTransferOperator", "DotyposEntitiesTransferOperator", *api_pages.MADE_BY_FUNCTIONS}


@pytest.mark.parametrize("lacks", [set(), {"airflow_provider_dotypos.DotyposHook"}])
def test_a_public_name_that_the_api_reference_lacks_is_noticed(lacks: set[str], tmp_path: Path) -> None:
    names = sorted(api_pages.public_names() - lacks)
    lines = "".join(f"{name} py:class 1 api/x.html#$ -\n" for name in names)
    header = b"# Sphinx inventory version 2\n# Project: x\n# Version: 1\n# The rest is compressed using zlib.\n"
    (tmp_path / "objects.inv").write_bytes(header + zlib.compress(lines.encode()))
    assert list(build.undocumented(tmp_path)) == [f"the API reference lacks {name}" for name in lacks]


def test_every_module_that_airflow_is_told_of_has_its_classes_in_the_reference() -> None:
    rooms = ("hooks", "operators", "sensors", "transfers", "notifications")
    things = {f"{module}.{name}" for room in rooms for module in api_pages.modules_of(room) for name in _ours(module)}
    public = {id(_object(name)) for name in api_pages.public_names()}
    assert things
    assert not {name for name in things if id(_object(name)) not in public}


def _ours(module: str) -> list[str]:
    return [name for name in api_pages.classes_of(module) if name.startswith("Dotypos")]


def _object(name: str) -> Any:
    home, last = name.rsplit(".", 1)
    return getattr(import_module(home), last)


def _documented() -> Iterator[tuple[str, Any, str]]:
    """Yield what the API reference shows: its name, the object, and the docstrings in which its parameters stand."""
    for name in sorted(api_pages.public_names()):
        thing = _object(name)
        if isinstance(thing, type):
            yield name, thing, "\n".join(base.__doc__ or "" for base in thing.__mro__[:-1])
            for member, it in api_pages.members_of(thing):
                function = getattr(it, "__func__", it)
                yield f"{name}.{member}", function, inspect.getdoc(getattr(thing, member)) or ""
        else:
            is_fixture = name.startswith(f"{api_pages.PACKAGE}.sandbox.pytest_plugin.")  # its arguments are fixtures
            yield name, None if is_fixture else thing, thing.__doc__ or ""


def test_everything_public_says_what_it_is() -> None:
    assert not {name for name, thing, text in _documented() if not text.strip()}


def test_every_public_parameter_is_described() -> None:
    missing = {f"{name}({parameter})" for name, thing, text in _documented() for parameter in _undescribed(thing, text)}
    assert not missing


def _undescribed(thing: Any, text: str) -> list[str]:
    if not callable(thing) or (isinstance(thing, type) and issubclass(thing, BaseException)):
        return []  # errors are caught, not made
    if isinstance(thing, type) and (getattr(thing, "_is_protocol", False) or thing.__name__ in TOLD_ELSEWHERE):
        return []
    parameters = inspect.signature(thing).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    names = [it.name for it in parameters if it.kind not in variable and it.name not in ("self", "cls")]
    return [name for name in names if not re.search(rf":(param|ivar) {name}:|`+{name}`+", text)]


def test_every_page_has_its_place_on_the_site_and_in_the_sidebar() -> None:
    """It also turns every link: one to what the site doesn't have is an error."""
    sources = dict(build.sources())
    trees = re.findall(r"```\{toctree\}\n(?::[^\n]*\n)*\n(.*?)\n```", sources["index.md"].decode(), re.S)
    entries = [re.sub(r".*<(.*)>", r"\1", entry) for tree in trees for entry in tree.splitlines()]
    assert len(entries) == len(set(entries))
    pages = {name for name in sources if name.endswith(".md") and not name.startswith(("examples/", "api/"))}
    assert pages - {"index.md"} | {"examples/index.md", "api/index.md"} == set(entries)


@pytest.mark.parametrize(
    ("address", "loads"),
    [
        ("https://example.invalid/x.png", True),
        ("//example.invalid/x.png", True),
        ("_images/x.png", False),
        ("data:image/png;base64,AAAA", False),
    ],
)
def test_a_picture_from_elsewhere_is_noticed(address: str, loads: bool, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE.format(link="#here", picture=address))
    assert len(list(build.outside_resources(tmp_path))) == loads


def test_a_style_from_elsewhere_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "site.css").write_text("@import 'https://example.invalid/font.css'; a { background: url(x.png) }")
    assert list(build.outside_resources(tmp_path)) == ["site.css loads https://example.invalid/font.css"]


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("#here", False),
        ("page.html#here", False),
        ("page.html?q=1#here", False),
        ("https://example.invalid", False),
        ("#there", True),
        ("page.html#there", True),
        ("other.html", True),
        ("../page.html", True),
    ],
)
def test_a_dead_link_is_noticed(link: str, dead: bool, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE.format(link=link, picture="data:,"))
    assert len(list(build.dead_links(tmp_path))) == dead
