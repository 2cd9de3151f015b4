"""What the pod's environment asks for.

Pure: `read` turns variables into `Settings` or raises `MisuseError`. Names and defaults are upstream's; what is ours begins with
LIGHTSHIP_, but for ALLOW_PATTERNS, which stands beside IGNORE_PATTERNS. Contract: Trainer 2.3 pkg/initializers/types and utils.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .problems import MisuseError

DATASET, MODEL = "dataset", "model"
MODEL_IGNORES = ("*.msgpack", "*.h5", "*.bin", "*.pt", "*.pth")
MODEL_ALLOWS = ("*.json", "*.safetensors", "*.model", "*.txt")
"""Of hubs only, where a repository often has the same weights in several formats."""
WORKSPACE = "/workspace"
OFF = ("off", "0", "false", "no")


@dataclass(frozen=True, kw_only=True)
class Settings:
    kind: str
    """`dataset` or `model`."""
    uri: str
    scheme: str
    ignore: tuple[str, ...]
    allow: tuple[str, ...]
    """Empty: everything."""
    target: str
    """Directory that gets the files."""
    state: str
    """Directory for what is not finished, on the same volume."""
    downloads: str
    """Directory that jobs share what they have fetched in; empty: nothing is shared."""
    downloads_limit: int
    """Bytes that it may hold; 0: half of what is free there."""
    unpack: bool
    workers: int
    environ: Mapping[str, str]

    def given(self, *names: str) -> str:
        """The first of these variables that says something."""
        return next((self.environ[name] for name in names if self.environ.get(name)), "")


def read(kind: str, environ: Mapping[str, str]) -> Settings | None:
    """None when STORAGE_URI is there and empty, as runtimes have it for what a TrainJob may do without. Raises `MisuseError`."""
    uri = environ.get("STORAGE_URI", " ").strip()
    if environ.get("STORAGE_URI") == "":
        return None
    if not uri:
        raise MisuseError("STORAGE_URI env variable must be set.")
    scheme, separator, _ = uri.partition("://")
    if not separator:
        raise MisuseError(f'STORAGE_URI "{uri}" has no scheme: write, for example, hf://{uri}')
    workspace = environ.get("LIGHTSHIP_WORKSPACE") or WORKSPACE
    hub_model = kind == MODEL and scheme.lower() == "hf"
    return Settings(
        kind=kind,
        uri=uri,
        scheme=scheme.lower(),
        ignore=_patterns(environ, "IGNORE_PATTERNS", MODEL_IGNORES if kind == MODEL else ()),
        allow=_patterns(environ, "ALLOW_PATTERNS", MODEL_ALLOWS if hub_model else ()),
        target=f"{workspace}/{kind}",
        state=f"{workspace}/.lightship/{kind}",
        downloads=_downloads(environ),
        downloads_limit=_bytes(environ, "LIGHTSHIP_DOWNLOADS_LIMIT"),
        unpack=_said(environ, "LIGHTSHIP_UNPACK"),
        workers=_number(environ, "LIGHTSHIP_DOWNLOAD_WORKERS", 8),
        environ=environ,
    )


def safe(uri: str) -> str:
    """A URI as it may be printed: without user, password and query, which hold secrets."""
    try:
        split = urlsplit(uri)
    except ValueError:
        return uri.partition("?")[0]
    return split._replace(netloc=split.netloc.rpartition("@")[2], query="").geturl() if split.password or split.query else uri


def _patterns(environ: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    if name not in environ:
        return default
    return tuple(part.strip() for part in environ[name].split(",") if part.strip())


def _downloads(environ: Mapping[str, str]) -> str:
    found = environ.get("LIGHTSHIP_DOWNLOADS", "")
    return "" if found.lower() in OFF else found


def _said(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name)) and environ[name].lower() not in OFF


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise MisuseError(f"{name} is {text!r}: write a number from 1 to 64")
    return int(text)


def _bytes(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name) or "0"
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
    number, unit = (text[:-2], units[text[-2:]]) if text[-2:] in units else (text, 1)
    if not number.isascii() or not number.isdigit():
        raise MisuseError(f"{name} is {text!r}: write bytes, or a number with Ki, Mi, Gi or Ti")
    return int(number) * unit
