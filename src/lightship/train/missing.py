"""Why a program ended that could not import something, in one line: which module, and what brings it along.

Called by whoever shows the end of a log. Pure. Training code runs elsewhere than where it was written, so this is the mistake that
everybody makes first.
"""

import re
from collections.abc import Collection

_MISSING = re.compile(r"^(?:\[[^\]]*\]:? ?)?ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)
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


def explain(log: str, here: Collection[str] = ()) -> str:
    """What to do about the last module that a log says is missing; empty where it says nothing of the kind.

    `here`: names of modules that are files where the question is asked.
    """
    found = _MISSING.findall(log)
    if not found:
        return ""
    module = found[-1].partition(".")[0]
    ship = 'ship it with `lightship train SCRIPT --workspace DIR` (in the SDK: options=[ship("DIR")], lightship.train.shipping)'
    if module in here:
        return f"{module} is a module of yours, which is here but not in the pod: {ship}"
    package = _PACKAGES.get(module, module)
    install = f'--packages {package} brings it (in the SDK: packages_to_install=["{package}"])'
    return f"{found[-1]} is not in the pod's environment. If it is a package, {install}. If it is a module of yours, {ship}"
