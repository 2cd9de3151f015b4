"""Which files of its own a script needs: the modules beside it that it imports, and those that these import.

Called by the command line for a script without a workspace. Reads sources, runs nothing. Imports that are made up while a program runs
(`importlib.import_module(name)`) are not seen: that is what a workspace is for.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from . import folder
from .errors import ShippingError


def imported(script: Path) -> set[str]:
    """The first words of all that a Python file imports, relative imports aside. Raises `ShippingError` for what is not Python."""
    try:
        tree = ast.parse(script.read_bytes(), str(script))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{script}, line {line}" if line else str(script)
        raise ShippingError(f"{place} is not Python: {getattr(error, 'msg', error)}") from error
    except OSError as error:
        raise ShippingError(f"{script} cannot be read: {error.strerror}") from error
    return set(_words(tree))


def of_script(script: Path) -> list[folder.File]:
    """The script and the modules and packages beside it that it imports, directly or through others. Raises `ShippingError`."""
    return _following(script.parent.absolute(), {script.absolute()})


def of_module(root: Path, name: str) -> list[folder.File]:
    """The same for `-m name`: files below `root`, none where the module is not there but in the environment. Raises `ShippingError`."""
    return _following(root.absolute(), set(_module(root.absolute(), name.partition(".")[0])))


def _following(root: Path, paths: set[Path]) -> list[folder.File]:
    pending, seen = [path for path in paths if path.suffix == ".py"], set[str]()
    while pending:
        for word in sorted(imported(pending.pop()) - seen):
            seen.add(word)
            found = _module(root, word)
            pending += [path for path in found if path.suffix == ".py" and path not in paths]
            paths.update(found)
    return folder.of_files(root, paths)


def _module(root: Path, word: str) -> list[Path]:
    """The files of a module beside the script; none when it is somebody else's."""
    package = root / word
    if (package / "__init__.py").is_file() or (package.is_dir() and any(package.glob("*.py"))):
        return [file.path for file in folder.find(package).files]
    module = root / f"{word}.py"
    return [module] if module.is_file() else []


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
