"""Image names to environments: the catalogue, the interpreters of this machine, building, the command."""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from lightship.aio.clock import SystemClock
from lightship.cli.errors import CliError
from lightship.meta import entrypoints
from lightship.meta.entrypoints import EntryPoint
from lightship.node import cli, cli_env
from lightship.node.images import builtin, environments, interpreter, offered, passthrough, programs
from lightship.node.images import table as images
from lightship.node.images.catalogue import Catalogue, ImageError
from lightship.node.images.environments import Environment, Environments
from lightship.node.images.installer import BuildError, Progress
from lightship.node.images.store import Store
from lightship.node.images.table import Entry
from lightship.node.inputs.env import Command
from lightship.node.pods.containers import Start, container_spec, home, variables
from lightship.node.runtimes import farm


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("python", ("python", "latest")),
        ("python:3.12-slim", ("python", "3.12-slim")),
        ("docker.io/library/python:3.12", ("python", "3.12")),
        ("library/busybox", ("busybox", "latest")),
        ("localhost:5000/team/x", ("localhost:5000/team/x", "latest")),
        ("localhost:5000/team/x:v1", ("localhost:5000/team/x", "v1")),
        ("x:v1@sha256:abc", ("x", "v1")),
        ("x@sha256:abc", ("x", "latest")),
    ],
)
def test_image_names(image: str, want: tuple[str, str]) -> None:
    assert images.split_image(image) == want


@pytest.mark.parametrize(
    ("pattern", "image", "want"),
    [
        ("python", "python:3.12", True),
        ("python:3.12", "python:3.12", True),
        ("python:3.11", "python:3.12", False),
        ("python:3.*", "docker.io/library/python:3.12-slim", True),
        ("docker.io/library/python", "python:3", True),
        ("*/pause", "registry.k8s.io/pause:3.10", True),
        ("pause", "my/pause:1", False),
        ("pytorch/pytorch:[0-9]*", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime", True),
        ("pytorch/pytorch:[0-9]*", "pytorch/pytorch:latest", False),
        ("localhost:5000/x", "localhost:5000/x:v1", True),
        ("team/*", "team/a/b:v1", True),
    ],
)
def test_patterns(pattern: str, image: str, want: bool) -> None:
    assert images.matches(pattern, image) is want


class Builder:
    """Makes nothing; remembers what was wanted."""

    def __init__(self, error: str = "") -> None:
        self.wanted: list[Sequence[str]] = []
        self._error = error
        self.tools = Path("/nonexistent")
        self.store: Store | None = None

    async def ensure(self, requirements: Sequence[str], progress: Progress, extra: Sequence[str] = ()) -> Environment:
        self.wanted.append([*requirements, *extra])
        if self._error:
            raise BuildError(self._error)
        return Environment(name="made", path=["/made/bin"], packages=list(requirements))


def resolve(image: str, file: Path = Path("/nonexistent/images.json"), builder: Builder | None = None) -> Environment:
    return asyncio.run(Catalogue(file, builder or Builder()).resolve(image, lambda line: None))


def test_a_torch_image_means_its_torch() -> None:
    builder = Builder()
    found = resolve("pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime", builder=builder)
    assert builder.wanted == [["torch==2.13.0", "torchvision", "numpy", "scikit-learn"]]
    assert found.command == ["bash"]
    assert (Path(found.files["/opt/lightship/lightship"]) / "__init__.py").is_file(), "training code may import what helps it"
    assert found.python_path == ["/opt/lightship"]


def test_the_path_of_python_is_the_pods_own_first() -> None:
    environment = Environment(name="made", path=[], packages=["x"], python_path=["/opt/lightship"])
    for own, want in ({}, "/opt/lightship"), ({"PYTHONPATH": "/mine"}, "/mine:/opt/lightship"):
        start = Start(id="a", run=0, command=Command([], [], own), environment=environment, mounts=[], runtime="sandbox")
        assert variables({"metadata": {"name": "a"}, "spec": {}}, start)["PYTHONPATH"] == want


def test_host_mode_leads_to_the_package_as_well() -> None:
    environment = Environment(
        name="made", path=[], packages=["x"], files={"/opt/lightship/lightship": "/src/lightship"}, python_path=["/opt/lightship"]
    )
    start = Start(id="a", run=0, command=Command([], [], {}), environment=environment, mounts=[], runtime="process")
    pod = {"metadata": {"name": "a", "namespace": "default", "uid": "u"}, "spec": {}}
    made = container_spec(pod, {"name": "main"}, home(Path("/pods"), pod), start)
    assert farm.rewrite(made.env["PYTHONPATH"], Path("/links"), made.mounts) == "/links/opt/lightship"


def test_an_unknown_image_says_how_to_map_it() -> None:
    want = 'no environment is mapped to image "acme/x:1"; map it: lightship images map "acme/x:1" --packages ...'
    with pytest.raises(ImageError, match=f"^{want}$"):
        resolve("acme/x:1")


def test_own_mappings_come_first(tmp_path: Path) -> None:
    file, builder = tmp_path / "deep" / "images.json", Builder()
    images.write_mapping(file, Entry("acme/*", ["six"]))
    images.write_mapping(file, Entry("python", ["toml"]))
    images.write_mapping(file, Entry("python", ["rich"]))
    resolve("python:3.12", file, builder)
    resolve("acme/x:1", file, builder)
    assert builder.wanted == [["rich"], ["six"]]
    assert images.remove_mapping(file, "python")
    assert not images.remove_mapping(file, "python")
    assert [e.pattern for e in images.read_mappings(file)] == ["acme/*"]


def test_a_broken_table_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text("[{]")
    with pytest.raises(ImageError, match="is not a table of images"):
        resolve("python", tmp_path / "images.json")


def test_a_failed_build_is_an_image_error() -> None:
    with pytest.raises(ImageError, match='the environment for image "python" could not be made: no network'):
        resolve("python", builder=Builder("no network"))


def test_an_interpreter_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    images.write_mapping(file, Entry("mine", python=sys.executable))
    found = resolve("mine", file)
    assert found.path == [str(Path(sys.executable).parent)]
    assert {sys.prefix, sys.base_prefix} <= set(found.read_only_paths)
    images.write_mapping(file, Entry("mine", python="/nowhere/python"))
    with pytest.raises(ImageError, match="mapped to /nowhere/python, which is not there"):
        resolve("mine", file)


def test_every_built_in_entry_means_something_or_says_what_to_install(tmp_path: Path) -> None:
    builder = Builder()
    builder.tools = tmp_path
    for entry in builtin.BUILTIN:
        image = entry.pattern.replace("[-_]", "-").replace("[0-9]*", "2.13.0").replace("*", "registry.k8s.io/")
        assert images.matches(entry.pattern, image), image
        absent = programs.missing(entry.requires)
        if absent:
            with pytest.raises(ImageError, match="apt-get install"):
                resolve(image, builder=builder)
        else:
            found = resolve(image, builder=builder)
            assert found.entrypoint or found.command


def test_a_program_that_is_not_there_is_named_with_its_package(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    images.write_mapping(file, Entry("x", requires={"no-such-program": "no-such-package"}))
    want = 'for image "x" could not be made: this machine lacks no-such-program; on Debian: apt-get install no-such-package$'
    with pytest.raises(ImageError, match=want):
        resolve("x", file)


def test_a_mapped_program_is_shown_and_started(tmp_path: Path) -> None:
    file, program = tmp_path / "images.json", tmp_path / "server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    entry = Entry("x", command=["pause"], entrypoint=["/server"], files={"/server": str(program)}, user="7:8", working_dir="/w")
    images.write_mapping(file, entry)
    found = resolve("x", file)
    assert (found.entrypoint, found.command, found.files) == (["/server"], ["pause"], {"/server": str(program)})
    assert (found.user, found.working_dir) == ("7:8", "/w")
    program.unlink()
    with pytest.raises(ImageError, match="it is not there"):
        resolve("x", file)


def test_busybox_means_its_applets_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_ALSO", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    builder = Builder()
    builder.tools = tmp_path / "tools"
    assert resolve("busybox", builder=builder).path == ["/made/bin"], "this machine's own tools do"
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "busybox"
    fake.write_text("#!/bin/sh\nprintf 'wget\\nsh\\n../evil\\n'\n")
    fake.chmod(0o755)
    place = Path(resolve("registry.k8s.io/e2e-test-images/busybox:1.37.0-1", builder=builder).path[0])
    assert sorted(p.name for p in place.iterdir()) == ["sh", "wget"]
    assert (place / "sh").readlink() == fake
    assert resolve("busybox", builder=builder).path[0] == str(place), "made once"
    assert [p.name for p in builder.tools.iterdir()] == [place.name]
    shell = tmp_path / "bin" / "bash"
    fake.rename(shell)
    shutil.copy(shell, fake)
    other = Path(resolve("busybox", builder=builder).path[0])
    assert ((other / "sh").readlink(), (other / "wget").readlink()) == (shell, fake), "a shell that loses no variables"


# what is on this machine ------------------------------------------------------------------------------------------------------------


def test_coarse_version_checks() -> None:
    here = interpreter.running()
    version = ".".join(msgspec.__version__.split(".")[:2])
    assert here.satisfies([])
    assert here.satisfies(["msgspec"])
    assert here.satisfies([f"msgspec=={version}.999"])
    assert here.satisfies(["msgspec>=0.1"])
    assert not here.satisfies(["msgspec==99.0"])
    assert not here.satisfies(["msgspec>=99"])
    assert not here.satisfies(["no-such-distribution"])
    assert not here.satisfies(["msgspec; python_version > '3'"]), "what is not understood is not assumed"


def test_host_settings_pass_into_pods(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\n")
    environ = {
        "PIP_INDEX_URL": "https://mirror/simple",
        "PIP_TARGET": "/x",
        "UV_INDEX_URL": "https://mirror",
        "HTTPS_PROXY": "http://proxy:3128",
        "SSL_CERT_FILE": str(tmp_path),
        "AWS_SECRET_ACCESS_KEY": "no",
        "HOME": "/root",
    }
    found = passthrough.settings(environ, tmp_path)
    assert set(found.variables) == {"PIP_INDEX_URL", "UV_INDEX_URL", "HTTPS_PROXY", "SSL_CERT_FILE", "PIP_CONFIG_FILE"}
    assert found.paths == sorted([str(tmp_path), str(tmp_path / ".config/pip/pip.conf")])


# environments -----------------------------------------------------------------------------------------------------------------------


def ensure(directory: Path, *requirements: str, told: list[str] | None = None) -> Environment:
    environments = Environments(directory, SystemClock())
    try:
        return asyncio.run(environments.ensure(requirements, (told if told is not None else []).append))
    finally:
        environments.store.close()


def python(environment: Environment, code: str, **env: str) -> str:
    command = [f"{environment.path[0]}/python", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **env}).stdout.strip()


@pytest.mark.slow
def test_an_environment_over_the_running_interpreter(tmp_path: Path) -> None:
    told: list[str] = []
    made = ensure(tmp_path, told=told)
    assert told == [], "nothing was built that is worth telling"
    assert python(made, "import msgspec, pip, lightship, site; print(site.ENABLE_USER_SITE)", HOME=str(tmp_path)) == "True"
    bin_directory = Path(made.path[0])
    assert {"python", "python3", "pip"} <= {p.name for p in bin_directory.iterdir()}
    assert not [p for p in bin_directory.iterdir() if p.is_file() and b".building" in p.read_bytes()[:4096] and not p.is_symlink()]
    with_packages = ensure(tmp_path, "msgspec", told=told)
    assert with_packages.name == made.name
    assert told == ["compiling the packages (once)"]
    ensure(tmp_path, "msgspec", told=told)
    assert len(told) == 1


@pytest.mark.slow
def test_what_a_dead_builder_left_is_replaced(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    path = Path(made.path[0]).parent
    path.rename(path.with_name(path.name + ".building"))
    assert ensure(tmp_path) == made
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.json", f"{path.name}.lock"]


@pytest.mark.slow
def test_two_builders_make_one_environment(tmp_path: Path) -> None:
    async def both() -> list[Environment]:
        builders = [Environments(tmp_path, SystemClock()) for _ in range(2)]
        return list(await asyncio.gather(*(b.ensure([], lambda line: None) for b in builders)))

    first, second = asyncio.run(both())
    assert first == second
    assert len([p for p in (tmp_path / "environments").iterdir() if p.is_dir()]) == 1


@pytest.mark.slow
def test_packages_are_installed_into_an_environment_of_their_own(tmp_path: Path) -> None:
    """Builds a wheel from a folder, so that no network is needed."""
    source = tmp_path / "source"
    source.mkdir()
    wheel = _tiny_wheel(tmp_path)
    made = ensure(tmp_path, str(wheel))
    top = Path(made.path[0]).parent
    assert list(top.glob("lib/*/site-packages/__pycache__/tiny.*.pyc")), "pods could not keep bytecode: it must be there"
    assert python(made, "import tiny; print(tiny.ANSWER)") == "42"
    assert Path(python(made, "import tiny; print(tiny.main.__code__.co_filename)")).parts[: len(top.parts)] == top.parts
    assert subprocess.run([f"{made.path[0]}/tiny"], check=True, capture_output=True, text=True).stdout == "42\n"


@pytest.mark.slow
def test_a_build_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="ended with"):
        ensure(tmp_path, str(tmp_path / "missing-1.0-py3-none-any.whl"))
    assert [p for p in (tmp_path / "environments").iterdir() if p.is_dir()] == []


def _tiny_wheel(directory: Path) -> Path:
    import zipfile

    path = directory / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", "ANSWER = 42\n\ndef main():\n    print(ANSWER)\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntiny = tiny:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def test_the_cache_directory_can_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTSHIP_CACHE", str(tmp_path))
    assert environments.cache_directory() == tmp_path


# the command ------------------------------------------------------------------------------------------------------------------------


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli.arguments(parser)
    return cli.run(parser.parse_args(argv))


def test_map_list_unmap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data-dir", str(tmp_path)]
    assert command("map", "acme/*", "--packages", "torch, numpy", *data) == 0
    assert capsys.readouterr().out == "acme/* means torch, numpy\n"
    assert command("list", *data) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["acme/*", "torch,", "numpy", "own"]
    assert command("list", "-o", "json", *data) == 0
    first = msgspec.json.decode(capsys.readouterr().out)[0]
    assert first == {"pattern": "acme/*", "packages": ["torch", "numpy"], "python": "", "files": {}, "source": "own"}
    assert command("unmap", "acme/*", *data) == 0
    with pytest.raises(CliError, match="is not in"):
        command("unmap", "acme/*", *data)


def test_map_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data-dir", str(tmp_path)]
    assert command("map", "acme/server", "--program", sys.executable, "--at", "/bin/server", "--command", "serve 'a b'", *data) == 0
    assert command("map", "acme/tool", "--program", "/bin/sh", *data) == 0
    tool, server = images.read_mappings(tmp_path / "images.json")
    assert server.files == {"/bin/server": str(Path(sys.executable).absolute())}
    assert (server.entrypoint, server.command) == (["/bin/server"], ["serve", "a b"])
    assert (tool.files, tool.entrypoint) == ({"/sh": "/bin/sh"}, ["/sh"])
    assert "acme/tool means sh and this machine's tools" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        ["--packages", " , "],
        ["--python", "/nowhere/python"],
        ["--program", "/nowhere/program"],
        ["--program", "/etc"],
        ["--program", "/bin/sh", "--at", "sh"],
        ["--program", "/bin/sh", "--at", "/a/../sh"],
        ["--host", "--at", "/sh"],
        ["--host", "--user", "daemon"],
    ],
)
def test_mappings_that_mean_nothing_are_refused(tmp_path: Path, argv: list[str]) -> None:
    with pytest.raises(CliError):
        command("map", "x", *argv, "--data-dir", str(tmp_path))


def test_a_name_that_would_leave_the_home_is_refused() -> None:
    with pytest.raises(CliError, match="no name for a platform"):
        cli.table_file("../elsewhere", None)


# `lightship env` ----------------------------------------------------------------------------------------------------------------------


def env(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli_env.arguments(parser)
    return cli_env.run(parser.parse_args(argv))


@pytest.mark.slow
def test_environments_are_built_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIGHTSHIP_CACHE", str(tmp_path))
    assert env() == 0
    assert "No environments in" in capsys.readouterr().out
    assert env("build", "python:3.12", "--data-dir", str(tmp_path / "data")) == 0
    name = capsys.readouterr().out.split()[-1]
    assert env("list", "-o", "json") == 0
    (listed,) = msgspec.json.decode(capsys.readouterr().out)
    assert (listed["name"], listed["images"], listed["usedBy"]) == (name, ["python:3.12"], [])
    assert listed["sizeBytes"] > 0
    user = Environments(tmp_path, SystemClock(), "somebody")
    asyncio.run(user.ensure([], lambda line: None))
    assert env() == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("somebody")
    with pytest.raises(CliError, match=f"{name} is used by somebody"):
        env("remove", name)
    assert env("prune") == 0
    assert "0 removed, 0 B freed; 1 is left" in capsys.readouterr().out
    user.store.close()
    assert env("prune", "--unused-for", "1h") == 0
    assert env("prune", "--to-size", "1Gi") == 0
    assert env("remove", name) == 0
    with pytest.raises(CliError, match="there is no environment"):
        env("remove", name)


@pytest.mark.parametrize("argv", [["--unused-for", "long"], ["--to-size", "much"]])
def test_ages_and_sizes_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setenv("LIGHTSHIP_CACHE", str(tmp_path))
    with pytest.raises(CliError, match="is no"):
        env("prune", *argv)


# what a pod brings ------------------------------------------------------------------------------------------------------------------------


def brought(image: str, text: str, file: Path = Path("/nonexistent/images.json"), builder: Builder | None = None) -> Environment:
    return asyncio.run(Catalogue(file, builder or Builder()).resolve(image, lambda line: None, text))


def test_a_pod_brings_requirements(tmp_path: Path) -> None:
    builder = Builder()
    brought("pytorch/pytorch:2.13.0", "rich>=1,<99", builder=builder)
    assert builder.wanted == [["torch==2.13.0", "torchvision", "numpy", "scikit-learn", "rich>=1,<99"]]
    with pytest.raises(ImageError, match=r'lightship\.dev/requirements: "-r x" is no requirement'):
        brought("python", "-r x")
    file = tmp_path / "images.json"
    images.write_mapping(file, Entry("mine", python=sys.executable))
    with pytest.raises(ImageError, match="nothing is installed into"):
        brought("mine", "rich", file)


def test_versions_that_a_pod_asks_for_are_taken_to_the_letter() -> None:
    here, version = interpreter.running(), msgspec.__version__
    major_minor = ".".join(version.split(".")[:2])
    assert here.satisfies([f"msgspec=={major_minor}.999"])
    assert not here.satisfies([f"msgspec=={major_minor}.999"], exactly=True)
    assert here.satisfies([f"msgspec=={version}", "msgspec>=0.1", "msgspec"], exactly=True)


@pytest.mark.slow
def test_what_a_pod_brings_is_installed_over_what_is_there(tmp_path: Path) -> None:
    wheel, told = _tiny_wheel(tmp_path), list[str]()

    async def make() -> Environment:
        environments = Environments(tmp_path, SystemClock())
        try:
            return await environments.ensure(["msgspec"], told.append, [str(wheel)])
        finally:
            environments.store.close()

    made = asyncio.run(make())
    assert python(made, "import tiny, msgspec; print(tiny.ANSWER)") == "42"
    assert made.python == f"{made.path[0]}/python"


@pytest.mark.slow
def test_without_a_network_the_error_is_one_line_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(
        BuildError, match=r"^no-such-thing: not on this machine, and no package index could be reached .*go online once"
    ) as caught:
        ensure(tmp_path, "no-such-thing")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("ghcr.io/kubeflow/trainer/xgboost-runtime", "xgboost"),
        ("nvcr.io/nvidia/jax:25.10-py3", "jax"),
        ("tensorflow/tensorflow:2.21.0", "tensorflow"),
        ("tensorflow/tensorflow:2.21.0-gpu", "tensorflow[and-cuda]==2.21.0"),
        ("huggingface/transformers-pytorch-gpu", "torch==2.13.0"),
    ],
)
def test_images_of_frameworks_are_pinned(image: str, want: str) -> None:
    """A release of tomorrow shall break nobody's training today."""
    builder = Builder()
    resolve(image, builder=builder)
    (packages,) = builder.wanted
    assert packages[0].startswith(want)
    assert "==" in packages[0]


def test_what_other_packages_know_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    points = [EntryPoint(name, f"tests.node.test_images:{name}", "acme", "1.0") for name in ("IMAGES", "NO_IMAGES")]
    monkeypatch.setattr(entrypoints, "find", lambda group: points)
    offered.entries.cache_clear()
    assert resolve("acme/ring:1").command == ["ring"]
    builder = Builder()
    builder.tools = tmp_path
    assert resolve("busybox", builder=builder).command == ["sh"]
    assert "is not a list of entries" in caplog.text
    offered.entries.cache_clear()


IMAGES = [{"pattern": "acme/ring", "command": ["ring"]}, {"pattern": "busybox", "command": ["theirs"]}]
NO_IMAGES: dict[str, list[str]] = {"acme/ring": []}
