"""What pods inherit of the host's network settings: package indexes, proxies and certificate bundles.

As a container engine passes its proxy settings on, so do we: without them `pip install` inside a pod could not reach the index that
everything else on this machine uses. Nothing else of the host's environment reaches a pod. Called by `images` for every environment.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_PREFIXES = ("PIP_", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_FIND_LINKS", "UV_INSECURE", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
_NAMES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PROXIES = {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
_NOT = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_LOG", "PIP_CACHE_DIR", "PIP_SRC", "PIP_ROOT"}
"""Settings of where things go on the host; meaningless or harmful inside a pod."""


class Settings(NamedTuple):
    """Variables for the pod, and host paths that they point to."""

    variables: dict[str, str]
    paths: list[str]


def settings(environ: Mapping[str, str], home: Path) -> Settings:
    """What to pass on of `environ`, and of the pip configuration below `home`."""
    variables = {name: value for name, value in environ.items() if _passes(name)}
    if "PIP_CONFIG_FILE" not in variables:
        for candidate in _pip_configurations(environ, home):
            if candidate.is_file():
                variables["PIP_CONFIG_FILE"] = str(candidate)
                break
    return Settings(variables, sorted(set(_paths(variables))))


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies alone: what an image with files of its own can make use of."""
    return {name: value for name, value in environ.items() if name.lower() in _PROXIES}


def _passes(name: str) -> bool:
    return name not in _NOT and (name.startswith(_PREFIXES) or name in _NAMES or name.lower() in _PROXIES)


def _pip_configurations(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """The user's own files; the machine's (/etc/pip.conf) is found by pip itself."""
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield home / ".pip" / "pip.conf"
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"


def _paths(variables: Mapping[str, str]) -> Iterator[str]:
    for value in variables.values():
        for part in value.split():
            path = part.removeprefix("file://")
            if os.path.isabs(path) and os.path.exists(path):
                yield path
