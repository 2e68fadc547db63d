"""What the site has beside the pages of docs/: files of the repository, commands, decisions.

Called by MkDocs (`hooks` in mkdocs.yml). Pages that lie elsewhere in the repository are shown as
they stand there; links between them and docs/ are made to fit, and a link to what the site does not
show becomes its plain text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from rich.text import Text

ROOT = Path(__file__).parents[1]
# Where a file of the repository is shown.
SHOWN = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "models/glioma-flair/README.md": "models/glioma-flair.md",
    "models/glioma-flair/src/plgg_glioma_flair/model/model_card.md": "models/glioma-flair-card.md",
}
COPIED = [source for source in SHOWN if source != "README.md"]
_LINK = re.compile(r"(?<!!)\[([^\]\[]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decisions into the menu."""
    decisions = sorted(f"adr/{path.name}" for path in (ROOT / "docs" / "adr").glob("*.md"))
    for section in config.nav:
        for entry in next(iter(section.values())):
            if entry == {"Decisions": "adr"}:
                entry["Decisions"] = decisions
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    pages = {SHOWN[source]: (ROOT / source).read_text(encoding="utf-8") for source in COPIED}
    for path, text in (pages | {"commands.md": commands_page()}).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401 - MkDocs' own
    """Make links fit that leave docs/, or come from a page that lies elsewhere."""
    path = page.file.src_uri
    source = next((key for key in COPIED if SHOWN[key] == path), f"docs/{path}")
    parts = _FENCED.split(markdown)
    return "".join(
        _titled(part)
        if part.startswith("```")
        else _LINK.sub(lambda m: _fit(m, source, path), part)
        for part in parts
    )


def _titled(block: str) -> str:
    """A block as MkDocs knows it: a file's name is its title, what tests read is left out."""
    opening, _, rest = block.partition("\n")
    language, *words = opening.split()
    names = [word.removeprefix("file=") for word in words if word.startswith("file=")]
    title = "".join(f' title="{name}"' for name in names)
    return f"{language}{title}\n{rest}"


def _fit(link: re.Match[str], source: str, path: str) -> str:
    text, target, anchor = link[1], link[2], link[3] or ""
    if re.match(r"[a-z]+:", target):
        return link[0]
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if not (ROOT / inside).exists() and not source.startswith("docs/"):
        return link[0]
    if inside in SHOWN:
        shown = SHOWN[inside]
    elif inside.startswith("docs/") and (ROOT / inside).is_file():
        shown = inside.removeprefix("docs/")
    elif inside.startswith("docs/") and not (ROOT / inside).is_dir():
        # A page that is made here, or a mistake, which MkDocs will tell of.
        return link[0]
    else:
        return text
    return f"[{text}]({posixpath.relpath(shown, posixpath.dirname(path) or '.')}{anchor})"


def commands_page() -> str:
    """Every command with its help and options, from the program itself."""
    from plgg.cli.app import app

    root = typer.main.get_command(app)
    told = ["# Commands", "", _plain(root.help), ""]
    told += ["What `plgg COMMAND --help` says. [Exit statuses, JSON, tables](command-line.md).", ""]
    for command, words in leaves(root, ["plgg"]):
        told += _described(command, words)
    return "\n".join(told) + "\n"


def leaves(command: Any, words: list[str]) -> Iterator[tuple[Any, list[str]]]:  # noqa: ANN401
    """Each command that does something, and the words that call it."""
    if not hasattr(command, "commands"):
        yield command, words
        return
    for name, inner in command.commands.items():
        if not inner.hidden:
            yield from leaves(inner, [*words, name])


def _described(command: Any, words: list[str]) -> list[str]:  # noqa: ANN401
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([*words, *(_place(argument) for argument in arguments), "[OPTIONS]"])
    told = [f"## {' '.join(words)}", "", "```text", usage, "```", "", _plain(command.help), ""]
    rows = [(_place(a), a.help or "", "") for a in arguments]
    rows += [(", ".join([*o.opts, *o.secondary_opts]), o.help or "", _default(o)) for o in options]
    if rows:
        told += ["| | | by default |", "|---|---|---|"]
        told += [f"| `{name}` | {_cell(text)} | {default} |" for name, text, default in rows] + [""]
    return told


def _place(argument: Any) -> str:  # noqa: ANN401
    name = (argument.metavar or argument.name).upper().strip("[]")
    name = name.removesuffix("...").strip("[]")
    shown = f"{name}..." if argument.nargs == -1 else name
    return shown if argument.required else f"[{shown}]"


def _default(option: Any) -> str:  # noqa: ANN401
    if option.required:
        return "needed"
    value = option.default
    if value is None or callable(value) or value is False or option.is_flag:
        return ""
    # How many cores there are is of the machine that builds.
    return "" if option.name == "workers" and isinstance(value, int) else f"`{value}`"


def _plain(text: str | None) -> str:
    """Help as Markdown: without the terminal's markup, each example as code."""
    plain = Text.from_markup(text or "").plain.strip()
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", plain)]
    return "\n\n".join(
        f"Example:\n\n```sh\n{part.removeprefix('Example:').strip()}\n```"
        if part.startswith("Example:")
        else part.replace("*", r"\*").replace("<", "&lt;")
        for part in paragraphs
    )


def _cell(text: str) -> str:
    return _plain(text).replace("|", r"\|").replace("\n", " ")
