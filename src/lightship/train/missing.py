"""Why a program ended that could not import or open something, in one line: which module or file, and what brings it along.

Called by whoever shows the end of a log. Pure. Training code runs elsewhere than where it was written, so this is the mistake that
everybody makes first.
"""

import re
from collections.abc import Callable, Collection

_MISSING = re.compile(r"^(?:\[[^\]]*\]:? ?)?ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)
_NO_PROGRAM = re.compile(
    r"^\S*python[\d.]*: No module named ([\w.]+)|^\S*python[\d.]*: Error while finding .* named '([\w.]+)'", re.MULTILINE
)
"""What `python -m` says, without a traceback."""
_NO_FILE = re.compile(r"^(?:\[[^\]]*\]:? ?)?FileNotFoundError: \[Errno 2\] No such file or directory: '([^'\n]+)'", re.MULTILINE)
_NO_PACKAGE = "ImportError: attempted relative import with no known parent package"
_PACKAGES = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "yaml": "pyyaml",
}
"""Modules → the packages that bring them, where the names differ."""


def explain(log: str, here: Collection[str] = (), is_here: Callable[[str], bool] = lambda path: False) -> str:
    """What to do about the last module, else the last file, that a log says is missing; empty where it says nothing of the kind.

    `here`: names of modules that are files where the question is asked; `is_here`: whether a path leads to something there.
    """
    found = _MISSING.findall(log) or [name or part for name, part in _NO_PROGRAM.findall(log)]
    if not found and _NO_PACKAGE in log:
        return "a script that says `from . import` is part of a package: lightship train -m PACKAGE.MODULE --workspace DIR, from above it"
    return _module(found, here) if found else _file(_NO_FILE.findall(log), is_here)


def _file(found: list[str], is_here: Callable[[str], bool]) -> str:
    """Paths of the pod's own that are absolute and not here either are nobody's oversight."""
    if not found or (found[-1].startswith("/") and not is_here(found[-1])):
        return ""
    where = "is here but not in the pod" if is_here(found[-1]) else "is not in the pod"
    if found[-1].startswith("/"):
        return f"{found[-1]} {where}, which has a disk of its own: name files relative to --workspace DIR; large data belongs in a volume"
    return f"{found[-1]} {where}: --workspace DIR takes a folder along, which is the working directory; large data belongs in a volume"


def _module(found: list[str], here: Collection[str]) -> str:
    module = found[-1].partition(".")[0]
    ship = 'ship it with `lightship train SCRIPT --workspace DIR` (in the SDK: options=[ship("DIR")], lightship.train.shipping)'
    if module in here:
        return f"{module} is a module of yours, which is here but not in the pod: {ship}"
    package = _PACKAGES.get(module, module)
    install = f'--packages {package} brings it (in the SDK: packages_to_install=["{package}"])'
    return f"{found[-1]} is not in the pod's environment. If it is a package, {install}. If it is a module of yours, {ship}"
