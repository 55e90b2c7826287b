"""Adds to the site what is written elsewhere in the repository: README, changelog, contract, linked files.

Pages are written to be read on a code host: they link to files by relative paths. Here such a link leads to a
page that shows the file.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from contract_pages import contract_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown"]

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
"""Pages at the top of the repository, and where they stand in the site."""
_FOLDER = "in-this-folder"
"""Name of pages that list a folder: `index` would meet the pages of files of that name."""
_CONTRACT = "protos/xenolith/v1"
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#|<)([^)\s#]+)(#[^)\s]*)?(?=\))")
_LANGUAGES = {
    ".py": "python",
    ".toml": "toml",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".sh": "bash",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not under docs/."""
    for name, text in contract_pages(ROOT / "protos").items():
        files.append(File.generated(config, f"contract/{name}", content=text))
    for source, page in WRITTEN_ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    waiting = [(_origin(file.src_uri), file.content_string) for file in files.documentation_pages()]
    while waiting:
        origin, text = waiting.pop()
        for linked in _linked(origin, text):
            page = _page_of(linked)
            if page is not None and files.get_file_from_path(page) is None:
                content = _shown(ROOT / linked)
                files.append(File.generated(config, page, content=content))
                waiting.append((linked, content))
    _list_the_rest(files, config)
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Lead links to files of the repository to the pages that show them."""
    here = page.file.src_uri
    origin = _origin(here)

    def led(link: re.Match[str]) -> str:
        target = _page_of(_path(origin, link[1]))
        if target is None or files.get_file_from_path(target) is None:
            return link[0]
        return posixpath.relpath(target, posixpath.dirname(here) or ".") + (link[2] or "")

    return _LINK.sub(led, markdown)


def _origin(page: str) -> str:
    """Return where in the repository the text of a page stands."""
    for source, shown in WRITTEN_ELSEWHERE.items():
        if shown == page:
            return source
    if page.startswith("source/"):
        return page.removeprefix("source/").removesuffix(".md").removesuffix(f"/{_FOLDER}")
    return f"docs/{page}"


def _path(origin: str, link: str) -> str:
    """Return where in the repository a link leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _page_of(path: str) -> str | None:
    """Return the page, or the picture, that shows a file or folder of the repository; None if it has none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in WRITTEN_ELSEWHERE:
        return WRITTEN_ELSEWHERE[path]
    if path == _CONTRACT or path == "protos":
        return "contract/index.md"
    if path.startswith(f"{_CONTRACT}/"):
        return f"contract/{Path(path).stem}.md"
    if path.startswith("..") or not (ROOT / path).exists():
        return None
    # What begins with a dot is left out of sites.
    shown = "/".join(["source", *(part.lstrip(".") for part in path.split("/"))])
    return f"{shown}/{_FOLDER}.md" if (ROOT / path).is_dir() else f"{shown}.md"


def _linked(origin: str, text: str) -> Iterator[str]:
    for link in _LINK.finditer(text):
        path = _path(origin, link[1])
        if not path.startswith("docs/"):
            yield path


def _shown(path: Path) -> str:
    """Return a page that shows a file or lists a folder."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if not p.name.startswith((".", "__")))
        # Links as if from the folder itself, which is where its page begins.
        return "\n".join([f"# {name}", "", *(f"- [{p.name}]({path.name}/{p.name})" for p in inside), ""])
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    return f"# {name}\n\n``````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n``````\n"


def _list_the_rest(files: Files, config: MkDocsConfig) -> None:
    """Put pages that the navigation does not name at its end, so that none is lost."""
    named = set(re.findall(r"[\w/.-]+\.md", str(config.nav)))
    rest = [
        file.src_uri
        for file in files.documentation_pages()
        if file.src_uri not in named and not file.src_uri.startswith("source/")
    ]
    if rest and config.nav is not None:
        config.nav.append({"More": sorted(rest)})
