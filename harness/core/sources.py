"""Which source files belong to a process: when one of them changes, it has to be restarted."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    (".py", ".js", ".mjs", ".cjs", ".ts", ".go", ".java", ".cs", ".rb", ".php", ".rs")
)
"""Only source code: an app may write other files into its own folder."""


@dataclass(frozen=True)
class Sources:
    """The source files of one process.

    Attributes:
        folder: all files below it belong to the process; None for `files` alone.
        files: single files, such as modules that it imports from elsewhere.
    """

    folder: Path | None
    files: frozenset[Path] = frozenset()

    def contain(self, file: Path) -> bool:
        """Whether a file belongs to the process."""
        if file.suffix not in SUFFIXES:
            return False
        return file in self.files or (self.folder is not None and self.folder in file.parents)


def sources_of(argv: Iterable[str], cwd: Path) -> Sources:
    """The sources of a process, as far as its command line names them.

    A Python program has its package and what that imports, directly or indirectly, from below the
    working folder. Any other program has the folder of the file that it is started with, or the
    working folder.

    Args:
        argv: the command line; words such as ``pkg.app:app`` or ``server.js`` are looked for.
        cwd: its working folder.
    """
    entries = [entry for word in argv if (entry := _entry(word, cwd)) is not None]
    if not entries:
        return Sources(cwd)
    first = entries[0]
    folder = None if first.suffix == ".py" and first.parent == cwd else first.parent
    scripts = [each for each in entries if each.suffix == ".py"]
    scripts += [] if folder is None or not scripts else folder.rglob("*.py")
    return Sources(folder, frozenset(_imported(scripts, cwd)))


def affected(changed: Iterable[Path], processes: Mapping[str, Sources]) -> list[str]:
    """The processes to which at least one of the files belongs."""
    files = list(changed)
    return [name for name, each in processes.items() if any(map(each.contain, files))]


def _entry(word: str, cwd: Path) -> Path | None:
    """The source file that a word of a command line names; None if it names none."""
    file = cwd / word
    if file.suffix in SUFFIXES and file.is_file() and file.is_relative_to(cwd):
        return file
    return _module(word.partition(":")[0], cwd)


def _module(name: str, root: Path) -> Path | None:
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    place = root.joinpath(*parts)
    found = (place / "__init__.py", place.with_suffix(".py"))
    return next((each for each in found if each.is_file()), None)


# Not modulefinder: it fails at a package without __init__.py, and at a syntax error.
def _imported(files: Iterable[Path], root: Path) -> set[Path]:
    """The files, and the modules below a folder that they import, directly or indirectly."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            names = _imports(file, root)
            waiting += [each for name in names if (each := _module(name, root)) is not None]
    return found


def _imports(file: Path, root: Path) -> Iterator[str]:
    """The names that a module imports, and the packages around them; too many do no harm."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # it is being edited; what it imports is known once it can be read
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, file, root)
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _base(node: ast.ImportFrom, file: Path, root: Path) -> str:
    """The absolute name of what ``from X import`` refers to."""
    if not node.level:
        return node.module or ""
    parents = file.relative_to(root).parts[: -node.level]
    return ".".join([*parents, *([node.module] if node.module else [])])
