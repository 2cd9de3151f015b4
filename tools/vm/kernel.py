"""Debian's kernel and the first file system it sees: unpacked once into a cache, packed anew for each machine.

`machine` calls it. Needs apt (for the package `linux-image-amd64`), `kmod` and `busybox-static`; installs nothing.
"""

import os
import stat
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightship-vm"
EARLY = ("virtio_pci", "virtio_blk", "virtio_console", "virtiofs", "crc32c_generic", "ext4", "overlay")
"""Modules that the way to the root file system needs; the kernel loads others from the cache as it wants them."""


def unpacked() -> Path:
    """A directory with `boot/vmlinuz-<release>` and `lib/modules/<release>`; made at the first call, which downloads 70 MB."""
    package = _package()
    directory = CACHE / package
    if not (directory / "lib").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", package], cwd=CACHE, check=True, stderr=subprocess.DEVNULL)
        archive = next(CACHE.glob(f"{package}_*.deb"))
        partial = CACHE / f"{package}.partial"
        subprocess.run(["dpkg", "-x", archive, partial], check=True)
        subprocess.run(["depmod", "-b", partial, package.removeprefix("linux-image-")], check=True)
        archive.unlink()
        partial.rename(directory)
    return directory


def _package() -> str:
    """The newest that is here already, else what the distribution's kernel depends on now."""
    if known := sorted(CACHE.glob("linux-image-*[!l]")):
        return known[-1].name
    told = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True).stdout
    return next(word for word in told.split() if word.startswith("linux-image-"))


def vmlinuz(directory: Path) -> Path:
    return next((directory / "boot").glob("vmlinuz-*"))


def first_files(directory: Path, own: dict[str, bytes]) -> bytes:
    """An archive for the kernel: busybox, the early modules in their order (listed in /modules), and `own` files by path."""
    modules = next((directory / "lib/modules").iterdir())
    files = {"bin/busybox": Path("/bin/busybox").read_bytes()}
    order = _ordered((modules / "modules.dep").read_text())
    for name in order:
        files[f"lib/{Path(name).name}"] = (modules / name).read_bytes()
    files["modules"] = "".join(f"/lib/{Path(name).name}\n" for name in order).encode()
    return _archive(files | own)


def _ordered(table: str) -> list[str]:
    needs = {line.partition(":")[0]: line.partition(":")[2].split() for line in table.splitlines()}
    paths = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for need in reversed(needs[path]):
            add(need)
        if path not in order:
            order.append(path)

    for name in EARLY:
        if name in paths:  # else it is part of the kernel itself
            add(paths[name])
    return order


def _archive(files: dict[str, bytes]) -> bytes:
    """The format `newc`. Contract: the kernel's Documentation/driver-api/early-userspace/buffer-format."""
    directories = sorted({str(parent) for path in files for parent in Path(path).parents} - {"."})
    entries = [(path, stat.S_IFDIR | 0o755, b"") for path in directories]
    entries += [(path, stat.S_IFREG | 0o755, content) for path, content in files.items()]
    packed = bytearray()
    for number, (path, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        packed += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        packed += bytes(-len(packed) % 4) + content
        packed += bytes(-len(packed) % 4)
    return bytes(packed)
