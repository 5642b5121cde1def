"""``make docs`` builds the site, offline, into ``.work/site/html``, and checks it.

The pages in ``docs/`` are written for a forge: their links lead to files of the checkout. Sphinx knows one folder only,
so the pages, the README, its neighbours and the examples are copied into one, and links that cross are turned.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from docs import api_pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / ".work" / "site"

#: Pages outside ``docs/``, with their names on the site.
NEIGHBOURS = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}

#: Where the front page has the API reference; on a forge there is none, as nothing builds it there.
API_MARK = "<!-- make docs puts the API reference here -->"

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^(```.*?^```)", re.M | re.S)


def main() -> int:
    """Build the site, check it, and return the exit code."""
    started = time.monotonic()
    source, html = SITE / "source", SITE / "html"
    write_sources(source)
    shutil.rmtree(html, ignore_errors=True)  # a page that is gone would stay
    if code := run_sphinx(source, html, SITE / "doctrees"):
        return code
    problems = [*undocumented(html), *outside_resources(html), *dead_links(html)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    pages = sum(1 for _ in html.rglob("*.html"))
    print(f"{pages} pages in {time.monotonic() - started:.0f} s: {html.relative_to(ROOT)}/index.html")
    return 0


def run_sphinx(source: Path, output: Path, doctrees: Path, builder: str = "html") -> int:
    """Run Sphinx. Warnings are errors, and references that lead nowhere are warnings."""
    from sphinx.cmd.build import build_main

    # Of a fixed time, so that the same sources give the same bytes.
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")
    strict = ("-q", "--nitpicky", "--fail-on-warning", "--keep-going")
    return build_main([*strict, "-b", builder, "-c", str(DOCS), "-d", str(doctrees), str(source), str(output)])


def write_sources(folder: Path) -> None:
    """Write everything that Sphinx reads. A file that is the same already stays, so Sphinx need not read it again."""
    texts = dict(sources())
    for name, content in texts.items():
        file = folder / name
        if not file.exists() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    for file in list(folder.rglob("*")):
        if file.is_file() and file.relative_to(folder).as_posix() not in texts:
            file.unlink()


def sources() -> Iterator[tuple[str, bytes]]:
    """Yield the files that Sphinx reads, by their names."""
    for page in [*DOCS.rglob("*.md"), *(ROOT / name for name in NEIGHBOURS)]:
        text = turned(page)
        if page == DOCS / "index.md":
            text = front_page(text)
        yield site_name(page), text.encode()
    for picture in (DOCS / "images").iterdir():
        yield f"images/{picture.name}", picture.read_bytes()
    yield from api_sources()
    examples = sorted((ROOT / "example_dags").glob("*.py"))
    for example in examples:
        yield f"examples/{example.name}", example.read_bytes()
        title = example.stem.removeprefix("example_dotypos_").replace("_", " ").capitalize()
        yield f"examples/{example.stem}.md", f"# {title}\n\n```{{literalinclude}} {example.name}\n```\n".encode()
    names = "\n".join(example.stem for example in examples)
    about = "Example DAGs. The wheel holds them, too, in `airflow_provider_dotypos/example_dags`."
    yield "examples/index.md", f"# Examples\n\n{about}\n\n```{{toctree}}\n{names}\n```\n".encode()


def api_sources() -> Iterator[tuple[str, bytes]]:
    """Yield the pages of the API reference."""
    pages = {name: page for name, page in api_pages.PAGES.items() if any(api_pages.names_of(page))}
    for name, page in pages.items():
        yield f"api/{name}.rst", api_pages.text_of(page).encode()
    names = "\n".join(pages)
    about = (
        "Every public class and function, from its docstring. [What a version promises](../reference/versions.md"
        "#what-a-version-promises) says what stays as it is."
    )
    yield "api/index.md", f"# API reference\n\n{about}\n\n```{{toctree}}\n{names}\n```\n".encode()


def site_name(path: Path) -> str | None:
    """Return the name on the site of a file of the checkout, or ``None`` if the site doesn't have it."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    if path == ROOT / "example_dags":
        return "examples/index.md"
    if path.is_relative_to(ROOT / "example_dags"):
        return f"examples/{path.stem}.md"
    return NEIGHBOURS.get(name)


def turned(page: Path) -> str:
    """Return a page's text with links that lead where the site has what they lead to."""
    home = Path(site_name(page) or "").parent

    def turn(link: re.Match[str]) -> str:
        target = link[2]
        if re.match(r"\w+:", target):
            return link[0]
        led_to = Path(os.path.normpath(page.parent / target))
        name = site_name(led_to)
        if name is None:
            raise ValueError(f"{page.relative_to(ROOT)}: the site doesn't have {target}")
        return f"{link[1]}{Path(os.path.relpath(name, home)).as_posix()}{link[3]}"

    pieces = _FENCE.split(page.read_text())
    return "".join(piece if piece.startswith("```") else _LINK.sub(turn, piece) for piece in pieces)


def front_page(text: str) -> str:
    """Return the front page with the API reference, and with the tree of pages for the sidebar, in its own order."""
    if API_MARK not in text:
        raise ValueError(f"docs/index.md lacks {API_MARK}")
    api = "## API reference\n\n[Every public class and function](api/index.md), from its docstring."
    text = text.replace(API_MARK, api)
    seen: set[str] = set()
    trees = []
    for section in re.split(r"^## ", text, flags=re.M):
        caption = section.partition("\n")[0].strip()
        links = [name for _, name, _ in _LINK.findall(section) if name.endswith(".md")]
        names = [name for name in dict.fromkeys(links) if name not in seen and _belongs(name, caption)]
        seen.update(names)
        if names:
            title = "Start here" if caption.startswith("#") else caption
            entries = [f"README <{name}>" if name == NEIGHBOURS["README.md"] else name for name in names]
            trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *entries, "```"]))
    return "\n\n".join([text, *trees, ""])


def _belongs(name: str, caption: str) -> bool:
    """Return whether a page stands below a caption of the sidebar; guides link to the reference, too."""
    return caption != "Guides" or name.startswith("guides/")


class _Page(HTMLParser):
    """What a page loads, what it links to, and where links may lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            self.loaded.append(given["href"])
        elif "src" in given or "srcset" in given:
            self.loaded += [given[name] for name in ("src", "srcset") if name in given]


def undocumented(html: Path) -> Iterator[str]:
    """Yield the public names that the site's inventory lacks, by which other projects' sites link here."""
    *_, entries = (html / "objects.inv").read_bytes().split(b"\n", 4)  # after four lines about the project
    known = {line.partition(" ")[0] for line in zlib.decompress(entries).decode().splitlines() if " py:" in line}
    for name in sorted(api_pages.public_names() - known):
        yield f"the API reference lacks {name}"


def outside_resources(html: Path) -> Iterator[str]:
    """Yield what pages and style sheets would load from another host."""
    for page in html.rglob("*.html"):
        for address in _Page(page.read_text()).loaded:
            if re.match(r"(https?:)?//", address):
                yield f"{page.relative_to(html)} loads {address}"
    for sheet in html.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", sheet.read_text()):
            yield f"{sheet.relative_to(html)} loads {address}"


def dead_links(html: Path) -> Iterator[str]:
    """Yield links within the site that lead to no page, or to no place of it."""
    pages = {page: _Page(page.read_text()) for page in html.rglob("*.html")}
    for page, parsed in pages.items():
        for link in dict.fromkeys([*parsed.links, *parsed.loaded]):
            if re.match(r"\w+:|//", link):
                continue
            path, _, anchor = link.partition("#")
            led_to = Path(os.path.normpath(page.parent / unquote(path.partition("?")[0]))) if path else page
            if not led_to.is_file():
                yield f"{page.relative_to(html)}: {link} leads nowhere"
            elif anchor and led_to in pages and unquote(anchor) not in pages[led_to].ids:
                yield f"{page.relative_to(html)}: {link} leads to no place of that page"


if __name__ == "__main__":
    sys.exit(main())
