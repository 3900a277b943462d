"""What an app imports, read from its source: nothing of the app is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

Import = tuple[str, str]
"""A module, and a name that is taken from it; "" if none is."""


def imports_of(module: str, folder: Path) -> set[Import]:
    """What an app's modules import from elsewhere when they are imported.

    Args:
        module: the app's module.
        folder: where its own modules are; those of other folders are not read.
    """
    found: set[Import] = set()
    seen: set[str] = set()
    left = [module]
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        path = _path_of(each, folder)
        if path is None:
            continue
        if parent := each.rpartition(".")[0]:
            left.append(parent)
        package = each if path.name == "__init__.py" else each.rpartition(".")[0]
        for name, taken in _read(path, package):
            if is_own(name, folder):
                left += [name, f"{name}.{taken}"] if taken else [name]
            else:
                found.add((name, taken))
    return found


def is_own(module: str, folder: Path) -> bool:
    """Whether a module is one of the folder's, or is hidden by one of them."""
    root = folder / module.partition(".")[0]
    return root.is_dir() or root.with_name(f"{root.name}.py").is_file()


def hidden_by(folder: Path, modules: set[str]) -> list[str]:
    """The modules that an interpreter started in the folder would find there instead."""
    found = {path.stem for path in folder.glob("*.py")}
    found |= {path.name.partition(".")[0] for path in folder.glob("*.so")}
    found |= {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted(found & {each.partition(".")[0] for each in modules})


def _path_of(module: str, folder: Path) -> Path | None:
    base = folder.joinpath(*module.split("."))
    found = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((path for path in found if path.is_file()), None)


def _read(path: Path, package: str) -> Iterator[Import]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # the app will tell, in its own log
        return
    for statement in _executed(tree.body):
        if isinstance(statement, ast.Import):
            yield from ((alias.name, "") for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            name = _absolute(statement, package)
            yield from ((name, alias.name) for alias in statement.names if name)


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What is executed when the module is imported, unless something fails meanwhile."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _executed(statement.orelse)
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _executed(getattr(statement, field, []))


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    parents = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*parents, *([statement.module] if statement.module else [])])
