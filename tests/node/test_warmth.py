"""Which programs may begin as forks of an interpreter that runs already, and which templates are kept: decided purely."""

from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.images.environments import Environment
from lightship.node.launch import warmth
from lightship.node.launch.warmth import Cold, Program
from lightship.node.pods import warming
from lightship.node.runtimes import capabilities, templates
from lightship.node.runtimes.runtime import ContainerSpec, Security, Warm
from lightship.node.runtimes.templates import Age, Key

ENV = {"HOME": "/workspace", "PATH": "/usr/bin", "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize(
    ("argv", "env", "want"),
    [
        (["python", "a.py", "-x", "1"], {}, Program("script", "a.py", ["-x", "1"])),
        (["/env/bin/python3.11", "-u", "/a.py"], {}, Program("script", "/a.py", [])),
        (["python3", "-m", "http.server", "80"], {}, Program("module", "http.server", ["80"])),
        (["python", "-c", "print(1)", "a"], {}, Program("code", "print(1)", ["a"])),
        (["python", "-uB", "a.py"], {}, Program("script", "a.py", [], False)),
        (["python", "a.py"], {"PYTHONDONTWRITEBYTECODE": "1"}, Program("script", "a.py", [], False)),
        (["python", "-u", "a.py"], {"PYTHONUNBUFFERED": ""}, Program("script", "a.py", [])),
        (["torchrun", "--nproc-per-node", "2", "a.py"], {}, Program("command", "torchrun", ["--nproc-per-node", "2", "a.py"])),
        (["python", "a.py"], {"MASTER_ADDR": "x", "NCCL_DEBUG": "INFO", "PYTHONPATH": "/lib"}, Program("script", "a.py", [])),
    ],
)
def test_what_may_be_warm(argv: list[str], env: dict[str, str], want: Program) -> None:
    assert warmth.decide(argv, ENV | env) == want


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (["python"], {}),
        (["python", "-"], {}),
        (["python", "-c"], {}),
        (["python", "-O", "a.py"], {}),
        (["python", "-W", "error", "a.py"], {}),
        (["python", "-X", "dev", "a.py"], {}),
        (["python", "-I", "a.py"], {}),
        (["python", "-i", "a.py"], {}),
        (["python", "--version"], {}),
        (["bin/python", "a.py"], {}),
        ([], {}),
        (["python", "a.py"], {"LIGHTSHIP_WARM": "0"}),
        (["python", "a.py"], {"HOME": ""}),
        (["python", "a.py"], {"PYTHONUNBUFFERED": ""}),
        (["torchrun", "a.py"], {"PYTHONUNBUFFERED": ""}),
        *((["python", "a.py"], {f"PYTHON{name}": "1"}) for name in ("HASHSEED", "WARNINGS", "HOME", "OPTIMIZE", "UTF8")),
        *(
            (["python", "a.py"], {name: "x"})
            for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "OPENSSL_CONF")
        ),
    ],
)
def test_what_is_cold(argv: list[str], env: dict[str, str]) -> None:
    assert isinstance(warmth.decide(argv, ENV | env), Cold)


@pytest.mark.parametrize(
    "name", ["MKL_NUM_THREADS", "OMP_PROC_BIND", "KMP_AFFINITY", "OPENBLAS_NUM_THREADS", "TORCH_LOGS", "PYTORCH_CUDA_ALLOC_CONF"]
)
def test_variables_that_libraries_read_when_loaded_matter_where_they_are_loaded(name: str) -> None:
    assert isinstance(warmth.decide(["python", "a.py"], ENV | {name: "1"}, ["torch"]), Cold)
    assert isinstance(warmth.decide(["python", "a.py"], ENV | {name: "1"}), Program)


def test_a_number_of_threads_can_be_set_afterwards() -> None:
    assert isinstance(warmth.decide(["python", "a.py"], ENV | {"OMP_NUM_THREADS": "3"}, ["torch"]), Program)
    assert isinstance(warmth.decide(["python", "a.py"], ENV | {"OMP_NUM_THREADS": "3,2"}, ["torch"]), Cold)


def test_a_template_shares_locale_and_buffering_with_its_programs() -> None:
    env = ENV | {"LANG": "C.UTF-8", "LC_TIME": "de_DE", "OTHER": "x"}
    assert warmth.signature(env) == {"LANG": "C.UTF-8", "LC_TIME": "de_DE", "PYTHONUNBUFFERED": "1"}


def key(name: str) -> Key:
    return Key(name, (), ())


@pytest.mark.parametrize(
    ("ages", "memory", "short", "want"),
    [
        ({"a": Age(1, 10), "b": Age(2, 10)}, 100, False, ""),
        ({"a": Age(templates.IDLE + 1, 10), "b": Age(2, 10)}, 100, False, "a"),
        ({"a": Age(1, 60), "b": Age(5, 30), "c": Age(2, 30)}, 100, False, "b"),
        ({"a": Age(1, 200)}, 100, False, "a"),
        ({name: Age(number, 1) for number, name in enumerate("abcdef")}, 100, False, "fe"),
        ({"a": Age(1, 10), "b": Age(2, 10)}, 100, True, "ab"),
    ],
)
def test_which_templates_are_given_back(ages: dict[str, Age], memory: int, short: bool, want: str) -> None:
    assert templates.surplus({key(name): age for name, age in ages.items()}, memory, short=short) == [key(name) for name in want]


@pytest.mark.parametrize(
    ("packages", "want"),
    [
        ([], []),
        (["torch==2.13.0", "scikit-learn"], ["numpy", "torch"]),
        (["Pandas>=2", "requests[socks]"], ["pandas"]),
        (["torchvision"], []),
    ],
)
def test_what_is_worth_loading(packages: list[str], want: list[str]) -> None:
    environment = Environment(name="e", path=["/e/bin"], python="/e/bin/python", packages=packages)
    assert warming.warm(environment) == Warm(environment="e", python="/e/bin/python", libraries=want)


def test_images_with_files_of_their_own_or_without_python_have_no_template() -> None:
    assert warming.warm(Environment(name="e", path=[], python="/usr/bin/python", root="/unpacked")) is None
    assert warming.warm(Environment(name="e", path=[])) is None


def never(*_arguments: Any) -> Any:
    raise AssertionError("nothing is asked")


@pytest.mark.parametrize(
    "extra",
    [{"tty": True}, {"root": "/r"}, {"security": Security(privileged=True)}, {"security": Security(add_capabilities=["NET_ADMIN"])}],
)
def test_containers_with_special_rights_or_a_terminal_never_ask_for_a_template(extra: dict[str, Any]) -> None:
    spec = ContainerSpec(
        id="c", sandbox_id="s", name="c", argv=["python", "a.py"], env={}, log_path="", warm=Warm(environment="e", python="/p"), **extra
    )
    kept = templates.Templates(SystemClock(), never)
    request = {"env": ENV, "capabilities": capabilities.numbers(capabilities.granted(spec.security))}
    kept.started(spec, request)
    assert kept.lend(spec, request) is None
    assert kept.known() == []
