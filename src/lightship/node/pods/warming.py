"""What the interpreter of an environment may load ahead of its containers. Pure; `containers` asks it for every start."""

import re

from lightship.node.images.environments import Environment
from lightship.node.runtimes.runtime import Warm

WORTH_LOADING = ("numpy", "pandas", "torch")
"""Packages that take long to load, start no threads by it, and remember of the process that loads them only what `launch.guise` renews."""


def warm(environment: Environment) -> Warm | None:
    """Of the packages that the image asks for, those that are worth it; None for images without an interpreter of ours."""
    if not environment.python or environment.root:
        return None
    names = {re.split(r"[^A-Za-z0-9._-]", package, maxsplit=1)[0].lower() for package in environment.packages}
    libraries = [name for name in WORTH_LOADING if name in names or (name == "numpy" and "torch" in names)]
    return Warm(environment=environment.name, python=environment.python, libraries=libraries)
