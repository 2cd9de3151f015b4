"""Virtual environments as files: made over an interpreter that is there, given pip and scripts, and moved to their final place.

Called by `environments` and `installer`, in threads: everything here blocks for milliseconds. Runs no program and asks no network.
"""

import sys
import venv
import zipfile
from importlib import util
from pathlib import Path

from . import interpreter
from .interpreter import Interpreter


def create(draft: Path, python: Interpreter) -> None:
    """A virtual environment of the base interpreter that also sees the packages and scripts of `python`."""
    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False, prompt="lightship").create(draft)
    own = site_packages(draft)
    if python.prefix != python.base:
        lines = [f"import site; site.addsitedir({str(place)!r})" for place in python.packages]
        (own / "_lightship_over.pth").write_text("\n".join(lines) + "\n")
        _borrow_scripts(python.scripts, draft / "bin")


def _borrow_scripts(source: Path, target: Path) -> None:
    """Copies of another interpreter's Python scripts that run under ours, so that they see what the user installs in a pod."""
    for script in sorted(source.iterdir()):
        if (target / script.name).exists() or script.is_symlink() or not script.is_file():
            continue
        with script.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"#!") and str(source / "python").encode() in start:
            text = script.read_bytes().replace(str(source / "python").encode(), str(target / "python").encode())
            (target / script.name).write_bytes(text)
            (target / script.name).chmod(0o755)


def relocate(draft: Path, path: Path) -> None:
    """Scripts name their interpreter by its absolute path: give them the final one before the rename."""
    for script in (draft / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if str(draft).encode() in content[:4096]:
            script.write_bytes(content.replace(str(draft).encode(), str(path).encode()))


def has_pip(draft: Path) -> bool:
    places = [site_packages(draft), *interpreter.base().packages]
    return any((place / "pip" / "__main__.py").is_file() for place in places)


def unpack_bundled_pip(draft: Path) -> bool:
    """The pip that comes with Python, without the seconds that `ensurepip` takes."""
    spec = util.find_spec("ensurepip")
    bundled = Path(spec.origin).parent / "_bundled" if spec and spec.origin else None
    wheels = [*(sorted(bundled.glob("pip-*.whl")) if bundled else ()), *sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))]
    if not wheels:
        return False
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(site_packages(draft))
    return True


def pip_scripts(draft: Path) -> None:
    for name in ("pip", "pip3"):
        script = draft / "bin" / name
        if not script.exists():
            script.write_text(f"#!{draft}/bin/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n")
            script.chmod(0o755)


def site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
