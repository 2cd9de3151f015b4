"""Where objects come from: a module for each way of asking, by the scheme of the URI.

`open` is called by `program`. Modules are loaded when they are needed: some need packages that not every image has.
"""

import importlib
from typing import cast

from lightship.train.runtime.initializers.items import Source
from lightship.train.runtime.initializers.problems import MisuseError
from lightship.train.runtime.initializers.settings import Settings

_MODULES = {
    "hf": "hub",
    "s3": "stores",
    "gs": "stores",
    "gcs": "stores",
    "azure": "stores",
    "az": "stores",
    "abfs": "stores",
    "abfss": "stores",
    "https": "web",
    "http": "web",
    "file": "local",
    "pvc": "local",
}
GIT = ("git", "git+https", "git+http", "git+ssh", "git+file")
"""These are not objects but trees: `git.check_out`."""


def open(settings: Settings) -> Source:
    """The source that a URI names. Raises `MisuseError` and whatever the source finds wrong with it."""
    if settings.scheme == "cache":
        raise MisuseError(
            "cache:// is the distributed data cache, which is not part of initializers here: name the data itself, s3://… for example"
        )
    name = _MODULES.get(settings.scheme)
    if name is None:
        known = ", ".join(f"{scheme}://" for scheme in (*_MODULES, *GIT))
        raise MisuseError(f"STORAGE_URI must have the valid {settings.kind} provider: {settings.scheme}:// is none of {known}")
    try:
        module = importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MisuseError(
            f"{settings.scheme}:// needs the Python package {package}, which this image does not have: install it there"
        ) from error
    return cast("Source", module.open(settings))
