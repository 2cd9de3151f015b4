"""One platform on this machine: where its files are, whether it runs, how to reach it.

A data directory holds everything: `state.db` (objects), `pki/` (CA, keys, tokens), `kubeconfig`, `instance.json` (what a running process
tells others), `lightship.log`. Called by `up`, `down`, `status` and every verb that needs the API. Knows no room's inside.
"""

import fcntl
import os
import socket
from pathlib import Path

import msgspec

from lightship.cli.errors import CliError
from lightship.cli.places import data_directory


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a running platform says of itself, in `instance.json` and `status -o json`."""

    pid: int
    api: str
    kubeconfig: str
    data_dir: str
    started: float
    """Seconds since the epoch."""
    notes: tuple[str, ...] = ()
    """What this machine does not let it do, and what to do about it."""


class Instance:
    """The paths of one data directory. Making one touches nothing."""

    def __init__(self, name: str = "default", data_dir: str | None = None) -> None:
        self.name = name
        self.data_dir = data_directory(name, data_dir)

    @property
    def database(self) -> Path:
        return self.data_dir / "state.db"

    @property
    def pki(self) -> Path:
        return self.data_dir / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.data_dir / "lightship.log"

    @property
    def door(self) -> Path:
        """Where a platform finds the pods of one that was killed."""
        return self.data_dir / "pods.sock"

    @property
    def _lock(self) -> Path:
        return self.data_dir / "lightship.lock"

    @property
    def announcement(self) -> Path:
        return self.data_dir / "instance.json"

    def prepare(self) -> None:
        """Make the data directory, readable by its owner only. Raises `CliError` when that cannot be."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            hint = "choose another with --data-dir"
            raise CliError(f"the data directory {self.data_dir} cannot be made: {error.strerror}", hint=hint) from error

    def announce(self, running: Running) -> None:
        """Tell other processes how to reach this one; written whole or not at all."""
        _write(self.announcement, msgspec.json.encode(running))

    def withdraw(self) -> None:
        """Say no more. Never fails: an announcement that stays behind counts for nothing once the lock is free."""
        try:
            self.announcement.unlink()
        except OSError:
            pass

    def running(self) -> Running | None:
        """The process that serves this data directory now, or None: a stale announcement counts for nothing."""
        try:
            found = msgspec.json.decode(self.announcement.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None
        return found if self._is_locked() else None

    def lock(self) -> int:
        """Hold this data directory for as long as the returned descriptor is open (kill -9 lets go too).

        Raises `CliError` when another process holds it.
        """
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CliError(f"{self._lock} cannot be opened: {error.strerror}", hint="choose another --data-dir") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            found = self.running()
            holder = f" by process {found.pid}" if found else ""
            raise CliError(
                f"the data directory {self.data_dir} is in use{holder}",
                hint=f"`lightship down --name {self.name}` ends it; `--name OTHER` starts a second one",
            ) from None
        return descriptor

    def _is_locked(self) -> bool:
        try:
            descriptor = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def last_port(self) -> int:
        """The port this platform had last time, so that kubeconfigs stay valid over restarts; 0 for none."""
        try:
            found = msgspec.json.decode((self.data_dir / "port").read_bytes(), type=int)
        except (OSError, msgspec.DecodeError):
            return 0
        return found if 0 < found < 65536 else 0

    def remember_port(self, port: int) -> None:
        _write(self.data_dir / "port", msgspec.json.encode(port))


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only whatever the umask is."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def choose_port(asked: int, last: int) -> int:
    """The port to listen on: the one asked for, else last time's when it is free, else 0 (any free one)."""
    if asked:
        return asked
    return last if last and _is_free(last) else 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
