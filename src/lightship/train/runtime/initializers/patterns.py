"""Which objects are wanted: shell patterns, as huggingface_hub and upstream's S3 initializer understand them.

Pure. `*` matches slashes too, and a pattern that ends with a slash means all that is below.
"""

from collections.abc import Sequence
from fnmatch import fnmatch


def wanted(name: str, allow: Sequence[str], ignore: Sequence[str]) -> bool:
    """Is it matched by some of `allow`, if there are any, and by none of `ignore`?"""
    return (not allow or _any(name, allow)) and not _any(name, ignore)


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)
