"""What importing costs and where it works: `import lightship` is free, and every module imports on a machine that is not Linux."""

import subprocess
import sys

# What Linux alone has is taken away after the libraries are loaded, and before ours are: a poor man's macOS.
ELSEWHERE = """
import asyncio, concurrent.futures, ctypes, fcntl, importlib, os, pkgutil, select, signal, socket, sqlite3, ssl, subprocess, sys, venv
import urllib.request, cryptography.x509, httptools, msgspec, pytest, uvloop, yaml
for module, names in {
    os: ("pidfd_open", "memfd_create", "eventfd", "unshare", "setns", "sched_setaffinity", "sched_getaffinity", "setresuid", "splice",
         "posix_fadvise", "O_PATH", "O_TMPFILE", "copy_file_range", "getrandom", "prlimit", "getxattr", "setxattr"),
    socket: ("AF_NETLINK", "AF_PACKET", "AF_VSOCK", "SO_PEERCRED", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_BINDTODEVICE", "TCP_USER_TIMEOUT"),
    select: ("epoll", "EPOLLIN"),
    signal: ("pidfd_send_signal", "SIGRTMIN", "SIGPWR"),
    fcntl: ("F_SETPIPE_SZ", "F_ADD_SEALS"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "darwin"
real_open = open
def no_proc(file, *rest, **options):
    if str(file).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", file)
    return real_open(file, *rest, **options)
import builtins
builtins.open = no_proc
OF_IMAGES = {"torch", "jax", "transformers", "trl", "peft", "datasets", "huggingface_hub", "obstore"}  # what runs in pods finds there
import lightship
found = [module.name for module in pkgutil.walk_packages(lightship.__path__, "lightship.") if not module.name.endswith(".__main__")]
for name in found:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith("lightship.train.runtime.") or error.name.partition(".")[0] not in OF_IMAGES:
            raise
print(len(found))
from lightship.node.runtimes.probe import probe
answer = probe()
print(answer.sandbox, answer.reason)
"""


def run(code: str, *options: str) -> str:
    ended = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def test_every_module_imports_where_linux_is_not() -> None:
    count, probed = run(ELSEWHERE, "-W", "error").splitlines()
    assert int(count) > 100
    assert probed.startswith("False "), "no sandbox there"
    assert len(probed) > len("False "), "and it says why"


def test_importing_the_package_costs_nothing() -> None:
    fresh = "import sys; before = set(sys.modules); import lightship; print(*sorted(set(sys.modules) - before))"
    assert run(fresh).split() == ["lightship"]
    assert run("import lightship; print(lightship.__version__)").strip().count(".") == 2


def test_the_testing_platform_is_not_dragged_in_by_the_plugin() -> None:
    loaded = set(run("import sys, lightship.pytest_plugin; print(*sys.modules)").split())
    assert not {"lightship.testing", "asyncio", "msgspec", "uvloop"} & loaded - set(run("import sys, pytest; print(*sys.modules)").split())
