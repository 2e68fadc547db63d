"""Every command of the README and the pages is one that the program takes; nothing is run."""

import ast
import importlib.util
import re
import shlex

import pytest
import typer
from doc_pages import PAGES, blocks, name_of

from plgg.cli.app import app

ROOT_COMMAND = typer.main.get_command(app)
USAGE_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
# Packages of the reader, in examples.
READERS_OWN = {"mine", "my_tasks", "my_package", "mine.py"}
# A prompt, settings of the environment, the program.
PLGG = re.compile(r"(?:\$ )?(?:[A-Z_]+=\S* )*(?:\S*/)?plgg(?: (?P<words>.*))")
INLINE = re.compile(r"`(plgg [^`]+)`")


def lines_of(text):
    """Lines of a shell block: continued ones joined, comments and prompts off."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        for part in re.split(r"\s(?:&&|\|\||;|\|)\s", line.strip()):
            if found := PLGG.fullmatch(part):
                # $URL and "$address" are values; $settings may be many words, or none.
                words = re.sub(r'"\$[a-z_]+"', "VALUE", found["words"])
                words = shlex.split(words, comments=True)
                words = [re.sub(r"\$[A-Z]+", "VALUE", word) for word in words]
                yield part, [word for word in words if not re.fullmatch(r"\$[a-z_]+", word)]


def parse(words):
    """Let the program's own parser read a command, down to the last subcommand."""
    command, context = ROOT_COMMAND, None
    while True:
        info = command.name or "plgg"
        context = command.make_context(info, list(words), parent=context)
        if not hasattr(command, "commands"):
            return context
        left = [*getattr(context, "_protected_args", ()), *context.args]
        _, command, words = command.resolve_command(context, left)


def commands_in_blocks():
    for page in PAGES:
        for block in blocks(page):
            if block.language in {"", "sh", "bash", "console"}:
                for text, words in lines_of(block.text):
                    yield pytest.param(words, id=f"{name_of(page)}:{block.line}: {text[:60]}")


def options_of(words):
    """The command that inline code begins with, and the options that it names."""
    command = ROOT_COMMAND
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    named = {word.partition("=")[0] for word in words if word.startswith("--")}
    return command, words, named


def inline_commands():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for found in sorted(set(INLINE.findall(text))):
            yield pytest.param(found, id=f"{name_of(page)}: {found[:60]}")


@pytest.mark.parametrize("words", [*commands_in_blocks()])
def test_a_command_in_a_block_is_understood(words):
    if words[:1] == ["pacs"] and "pacs" not in ROOT_COMMAND.commands:
        pytest.skip("this version has no plgg pacs")
    try:
        parse(words)
    except USAGE_ERROR as error:
        pytest.fail(f"plgg {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("text", [*inline_commands()])
def test_a_command_in_a_sentence_has_its_options(text):
    command, words, named = options_of(re.sub(r"[|,…]", " ", text).split()[1:])
    if words[:1] == ["pacs"]:
        pytest.skip("this version has no plgg pacs")
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert named <= known | {"--help"}, f"{text}: {sorted(named - known)}"
    if command is ROOT_COMMAND and words:
        # `plgg COMMAND --help` and the like.
        assert words[0].startswith("-") or words[0].isupper(), f"{text}: no such command"


def test_the_check_finds_what_is_wrong():
    for wrong in (["predikt"], ["predict", "a.nii.gz", "--no-such"], ["serve", "--port", "x"]):
        with pytest.raises(USAGE_ERROR):
            parse(wrong)
    assert list(lines_of("A=1 plgg check m.csv | head\nplgg a \\\n  --b  # why\n")) == [
        ("A=1 plgg check m.csv", ["check", "m.csv"]),
        ("plgg a --b  # why", ["a", "--b"]),
    ]
    assert options_of(["train", "store", "--folds=5"])[2] == {"--folds"}


def python_blocks():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python":
                yield pytest.param(block, id=f"{name_of(page)}:{block.line}")


@pytest.mark.parametrize("block", [*python_blocks()])
def test_python_compiles_and_what_it_imports_is_there(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and assert_module(node.module):
            module = importlib.import_module(node.module)
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(inside), inside


def assert_module(name):
    """Whether a module is there; one of the reader's own is taken on trust."""
    if name.partition(".")[0] in READERS_OWN:
        return False
    assert importlib.util.find_spec(name), name
    return True
