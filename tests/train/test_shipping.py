"""Code that travels: which files, the archive, the objects that carry it, and what a pod's shell makes of them."""

import io
import os
import random
import subprocess
import tarfile
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.client import Client
from lightship.control.manager import Manager
from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects
from lightship.meta.errors import conflict
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS
from lightship.train.bootstrap import bootstrap
from lightship.train.shipping import ShippingError, adoption, folder, imports, parcel, ship
from tests.client.faults import Faults, FaultyTransport
from tests.train import make, site
from tests.train.site import Site


def write(root: Path, files: dict[str, str]) -> Path:
    """Files by name."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def names(files: list[folder.File]) -> list[str]:
    return [file.name for file in files]


def test_a_folder_travels_without_what_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "", "data/big.csv": "", "data/small.csv": "", "notes.txt": "", "model/net.py": "", "model/a.pt": ""})
    write(tmp_path, {".gitignore": "data/\n*.txt\n", ".git/config": "", ".env": "PASSWORD=x", "model/.lightshipignore": "*.pt\n"})
    found = folder.find(tmp_path)
    assert names(found.files) == [".gitignore", "model/.lightshipignore", "model/net.py", "train.py"]
    chosen = folder.find(tmp_path, exclude=["model/", ".gitignore"], include=["data/small.csv", ".env"])
    assert names(chosen.files) == [".env", "data/small.csv", "train.py"]


def test_links_travel_as_long_as_they_stay_inside(tmp_path: Path) -> None:
    root = write(tmp_path / "work", {"a.py": "1"})
    write(tmp_path, {"outside": "x"})
    (root / "same.py").symlink_to("a.py")
    (root / "away").symlink_to("../outside")
    (root / "rooted").symlink_to(root / "a.py")
    found = folder.find(root)
    assert names(found.files) == ["a.py", "same.py"]
    assert [said.partition(" (")[0] for said in found.left_out] == ["away", "rooted"]
    with tarfile.open(fileobj=io.BytesIO(folder.pack(found.files))) as tar:
        assert tar.getmember("same.py").linkname == "a.py"


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.py": "1", "b.sh": "2"})
    (root / "b.sh").chmod(0o700)
    first = folder.pack(folder.find(root).files)
    os.utime(root / "a.py", (1, 1))
    (root / "a.py").chmod(0o600)
    assert folder.pack(folder.find(root).files) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert [(member.name, member.mode, member.mtime, member.uid) for member in tar] == [("a.py", 0o644, 0, 0), ("b.sh", 0o755, 0, 0)]


def test_too_much_is_refused_with_the_largest_files(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(os.urandom(300_000))
    (tmp_path / "other.bin").write_bytes(os.urandom(2_000))
    (tmp_path / "train.py").write_text("1")
    files = folder.find(tmp_path).files
    with pytest.raises(ShippingError) as refused:
        folder.pack(files, limit=100_000)
    want = "3 files, 295 KiB, are more than 98 KiB when compressed; the largest: weights.bin (293 KiB), other.bin (2.0 KiB), train.py (1 B)"
    assert str(refused.value) == want
    assert ".lightshipignore" in refused.value.hint


@pytest.mark.parametrize("what", ["no folder", "empty", "all ignored"])
def test_nothing_to_ship_is_refused(what: str, tmp_path: Path) -> None:
    if what == "all ignored":
        write(tmp_path, {".env": ""})
    with pytest.raises(ShippingError):
        folder.find(tmp_path / "gone" if what == "no folder" else tmp_path)


def test_a_script_takes_along_what_it_imports(tmp_path: Path) -> None:
    write(
        tmp_path, {"train.py": "import torch, os\nfrom net.layers import Big\ndef f():\n    import late", "late.py": "import deep.x as d"}
    )
    write(tmp_path, {"net/__init__.py": "", "net/layers.py": "from . import more", "net/more.py": "", "net/table.json": "{}"})
    write(tmp_path, {"deep/x.py": "import train", "unused.py": "", "datasets/a.csv": "", "torch.txt": ""})
    found = names(imports.of_script(tmp_path / "train.py"))
    assert found == ["deep/x.py", "late.py", "net/__init__.py", "net/layers.py", "net/more.py", "net/table.json", "train.py"]
    assert imports.imported(tmp_path / "train.py") == {"torch", "os", "net", "late"}
    assert names(imports.of_module(tmp_path, "late")) == ["deep/x.py", *(["late.py", "net/__init__.py"]), *found[3:]]
    assert imports.of_module(tmp_path, "json.tool") == []


def test_what_is_no_python_is_said_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "import torch\nfor x in:\n"})
    with pytest.raises(ShippingError, match=r"train\.py, line 2 is not Python: invalid syntax"):
        imports.of_script(tmp_path / "train.py")


def test_an_archive_is_cut_into_config_maps() -> None:
    archive = os.urandom(2 * parcel.PART + 1)
    sent = parcel.parcel(archive, "mnist", "ml", ["launcher", "node"])
    assert b"".join(b64decode(value) for m in sent.config_maps for value in m["binaryData"].values()) == archive
    assert [list(m["binaryData"]) for m in sent.config_maps] == [["part-00"], ["part-01"], ["part-02"]]
    assert all(m["immutable"] and m["metadata"]["namespace"] == "ml" for m in sent.config_maps)
    listed = [m["metadata"]["name"] for m in sent.config_maps]
    assert sent.annotations == {"lightship.dev/workspace": ",".join(listed)}
    assert parcel.parcel(archive, "mnist", "ml").config_maps == sent.config_maps, "names follow from the content"
    jobs = sent.patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert [job["name"] for job in jobs] == ["launcher", "node"]


def unpacked(tmp_path: Path, archive: bytes, *command: str, env: dict[str, str] | None = None) -> str:
    """What a command prints that runs where the ConfigMaps of an archive are mounted."""
    parts, work = tmp_path / "parts", tmp_path / "there"
    parts.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    for config_map in parcel.parcel(archive, "j", "d").config_maps:
        for name, value in config_map["binaryData"].items():
            (parts / name).write_bytes(b64decode(value))
        for name, text in config_map.get("data", {}).items():
            (parts / name).write_text(text)
    variables = {"PATH": os.environ["PATH"], "LIGHTSHIP_PARTS": str(parts), "LIGHTSHIP_WORKSPACE": str(work / "files"), **(env or {})}
    return subprocess.run(command, env=variables, capture_output=True, check=True, text=True, cwd=tmp_path).stdout


def test_a_program_runs_among_its_files(tmp_path: Path) -> None:
    root = write(tmp_path / "mine", {"sub/a.txt": "hello"})
    archive = folder.pack(folder.find(root).files)
    said = unpacked(tmp_path, archive, *parcel.inside(["sh", "-c", 'pwd; cat sub/a.txt; echo; echo "$1"; echo mark > b', "x", "two words"]))
    assert said.splitlines() == [str(tmp_path / "there/files"), "hello", "two words"]
    again = unpacked(tmp_path, archive, *parcel.inside(["ls"]))
    assert again.split() == ["b", "sub"], "a container that is started again finds what the last one left"


def test_bash_unpacks_before_a_function_of_the_sdk_runs(tmp_path: Path) -> None:
    root = write(tmp_path / "mine", {"helper.py": "NAME = 'helper'"})
    env = {"BASH_ENV": str(tmp_path / "parts" / "unpack.sh"), "PYTHONPATH": "/else"}
    program = 'echo "$PYTHONPATH ${BASH_ENV:-none}"; python3 -c "import helper; print(helper.NAME)"'
    said = unpacked(tmp_path, folder.pack(folder.find(root).files), "bash", "-c", program, env=env)
    assert said.splitlines() == [f"{tmp_path}/there/files:/else none", "helper"]


class Backend:
    """The SDK's Kubernetes backend, as far as options see it."""

    namespace = "default"

    def __init__(self, conflict: bool = False) -> None:
        self.core_api, self.made, self._conflict = self, list[Obj](), conflict

    def create_namespaced_config_map(self, namespace: str, body: Obj) -> None:
        self.made.append(body)
        if self._conflict:
            error = RuntimeError("(409)")
            error.status = 409  # type: ignore[attr-defined]  # as the client's ApiException has it
            raise error


@pytest.mark.parametrize("conflict", [False, True])
def test_ship_is_an_option_of_the_sdk(tmp_path: Path, conflict: bool) -> None:
    trainer, backend = SimpleNamespace(env={"A": "1"}), Backend(conflict)
    job: dict[str, Any] = {"metadata": {"name": "mnist", "annotations": {"note": "x"}}}
    ship(write(tmp_path, {"helper.py": ""}))(job, trainer, backend)
    (made,) = backend.made
    assert job["metadata"]["annotations"] == {"note": "x", "lightship.dev/workspace": made["metadata"]["name"]}
    assert made["metadata"]["name"].startswith("mnist-workspace-")
    assert [patch["manager"] for patch in job["spec"]["runtimePatches"]] == ["lightship.dev/workspace"]
    assert (trainer.env["A"], trainer.env["BASH_ENV"]) == ("1", "/lightship/parts/unpack.sh")
    unnamed: dict[str, Any] = {}
    ship(tmp_path)(unnamed, SimpleNamespace(env=None), Backend())
    assert unnamed["metadata"]["annotations"]["lightship.dev/workspace"].startswith(unnamed["metadata"]["name"])


def test_ship_says_where_it_makes_no_sense(tmp_path: Path) -> None:
    option = ship(write(tmp_path, {"helper.py": ""}))
    with pytest.raises(ShippingError, match="not with SimpleNamespace"):
        option({}, SimpleNamespace(env={}), SimpleNamespace())
    with pytest.raises(ShippingError, match="runs no code of yours"):
        option({}, SimpleNamespace(), Backend())


def test_files_belong_to_their_job() -> None:
    sent = parcel.parcel(b"x" * 10, "mnist", "default")
    stranger: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}}
    (name,) = (m["metadata"]["name"] for m in sent.config_maps)

    async def owner(s: Site, name: str) -> list[str]:
        return [ref["uid"] for ref in objects.owners(await s.client.get(CONFIG_MAPS, name, "default"))]

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        for config_map in (*sent.config_maps, stranger):
            await s.client.create(CONFIG_MAPS, config_map)
        job = make.job("mnist", runtimePatches=[sent.patch])
        job["metadata"]["annotations"] = {"lightship.dev/workspace": f"{name},settings,mnist-workspace-gone"}
        created = await s.client.create(TRAIN_JOBS, job)
        async with s.controllers():
            await s.settle()
            jobset = await s.client.get(JOB_SETS, "mnist", "default")
        assert await owner(s, name) == [objects.uid(created)]
        assert await owner(s, "settings") == [], "what was not made for the job is not given to it"
        pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        assert {volume["name"] for volume in pod["volumes"]} >= {"lightship-parts", "lightship-workspace"}
        version = (await s.client.get(CONFIG_MAPS, name, "default"))["metadata"]["resourceVersion"]
        await adoption.adopt(Client(s.client.transport), created)
        assert (await s.client.get(CONFIG_MAPS, name, "default"))["metadata"]["resourceVersion"] == version

    site.run(scenario)


def test_two_may_give_files_away_at_once() -> None:
    sent = parcel.parcel(b"x" * 10, "mnist", "default")

    class Late:
        """Somebody else is faster, once."""

        def __init__(self, transport: Any) -> None:
            self._transport, self.conflicts = transport, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

        async def patch(self, *given: Any, **options: Any) -> Obj:
            if not self.conflicts:
                self.conflicts += 1
                raise conflict("configmaps", "x", "the object has been modified")
            found: Obj = await self._transport.patch(*given, **options)
            return found

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        await s.client.create(CONFIG_MAPS, sent.config_maps[0])
        job = make.job("mnist")
        job["metadata"]["annotations"] = sent.annotations
        created = await s.client.create(TRAIN_JOBS, job)
        late = Late(s.client.transport)
        await adoption.adopt(Client(late), created)
        assert late.conflicts == 1
        (name,) = adoption.named(created)
        assert len(objects.owners(await s.client.get(CONFIG_MAPS, name, "default"))) == 1

    site.run(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_files_find_their_job_on_a_bad_day(seed: int) -> None:
    faults = Faults(random.Random(seed), refuse=0.3, lose_answer=0.3, read=0.2, drop_watch=0.2, repeat_event=0.2)
    sent = parcel.parcel(os.urandom(6 * parcel.PART), "mnist", "default")

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        for config_map in sent.config_maps:
            await s.client.create(CONFIG_MAPS, config_map)
        manager = Manager(Client(FaultyTransport(s.acting.transport, faults)), clock=s.clock, random=random.Random(seed))
        for controller in adoption.controllers(manager):
            manager.add(controller)
        async with manager.running():
            job = make.job("mnist")
            job["metadata"]["annotations"] = sent.annotations
            created = await s.client.create(TRAIN_JOBS, job)

            async def owned() -> bool | None:
                listed = [await s.client.get(CONFIG_MAPS, name, "default") for name in adoption.named(created)]
                owners = [[ref["uid"] for ref in objects.owners(found)] for found in listed]
                return owners == [[objects.uid(created)]] * len(sent.config_maps) or None

            await s.until(owned)

    site.run(scenario)
    assert faults.happened > 0
