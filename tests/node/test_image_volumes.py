"""Volumes that show the files of an image: pulled like the images of containers, put together once, shown read-only."""

import json
from pathlib import Path

import pytest

from lightship.meta.objects import Obj
from lightship.node.images import trees
from lightship.node.images.environments import Environment
from lightship.node.inputs import mounts
from lightship.node.inputs.claims import Claims
from lightship.node.pods import spec

from . import site
from .make import container, pod
from .site import Site, waiting


def shows(**mount: str) -> Obj:
    return container(volumeMounts=[{"name": "data", "mountPath": "/data", **mount}])


def image_volume(reference: str) -> list[Obj]:
    return [{"name": "data", "image": {"reference": reference, "pullPolicy": "Always"}}]


def read(*path: str) -> str:
    return Path(*path).read_text()


def test_a_container_waits_for_the_images_it_mounts() -> None:
    other = container("other", image="b")
    made = pod(shows(), other, volumes=[*image_volume("a"), {"name": "x", "emptyDir": {}}])
    assert spec.images(made, made["spec"]["containers"][0]) == ["python:3.12", "a"]
    assert spec.images(made, other) == ["b"]


def test_mounts_are_read_only_wherever_the_image_lies(tmp_path: Path) -> None:
    (tmp_path / "tree/etc").mkdir(parents=True)
    made = pod(shows(subPath="etc"), volumes=image_volume("a"))
    (mount,) = mounts.of(made, made["spec"]["containers"][0], tmp_path, {}, Claims(), {"data": tmp_path / "tree"})
    assert (mount.source, mount.sub_path, mount.read_only) == (str(tmp_path / "tree"), "etc", True)


def test_a_tree_is_put_together_once(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a").write_text("a")
    (tmp_path / "b").write_text("b")
    made = Environment(name="e", path=[], files={"/etc/conf": str(tmp_path / "conf"), "/b": str(tmp_path / "b")})
    tree = trees.of(made, tmp_path / "tools")
    assert (tree / "etc/conf/a").read_text() + (tree / "b").read_text() == "ab"
    assert trees.of(made, tmp_path / "tools") == tree
    (tmp_path / "b").write_text("changed")
    assert trees.of(made, tmp_path / "tools") != tree
    assert trees.of(Environment(name="i", path=[], root="/unpacked"), tmp_path / "tools") == Path("/unpacked")
    assert len(list((tmp_path / "tools").iterdir())) == 2


def test_a_pod_sees_the_files_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")

    async def scenario(s: Site) -> None:
        (s.data / "images.json").write_text(json.dumps([{"pattern": "data", "files": {"/data.json": str(tmp_path / "data.json")}}]))
        await s.run_pod(pod(shows(), volumes=image_volume("data")))
        await s.until_phase("Running")
        (mount,) = [m for m in s.runtime.started[0].mounts if m.target == "/data"]
        assert mount.read_only
        assert read(mount.source, "data.json") == "{}"
        assert ("Pulled", 'Container image "data" already present on machine') in await s.events()

    site.run(scenario)


def test_an_image_of_a_volume_that_is_not_there() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(shows(), volumes=image_volume("acme/x")))
        found = await s.until_waiting("ErrImagePull")
        assert 'no environment is mapped to image "acme/x"' in waiting(found)["message"]
        found = await s.until_waiting("ImagePullBackOff")
        assert waiting(found)["message"].startswith('Back-off pulling image "acme/x": ErrImagePull')
        assert s.runtime.started == []
        (s.data / "images.json").write_text('[{"pattern": "acme/*"}]')
        await s.until_phase("Running")

    site.run(scenario)


@pytest.mark.parametrize("read_only", ["Enabled", "IfPossible"])
def test_other_fields_of_a_mount_change_nothing(read_only: str) -> None:
    made = pod(shows(recursiveReadOnly=read_only), volumes=image_volume("a"))
    (mount,) = mounts.of(made, made["spec"]["containers"][0], Path("/v"), {}, Claims(), {"data": Path("/t")})
    assert mount.read_only
