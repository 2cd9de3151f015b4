"""Volumes over a pod's life: kept up to date, tried again, given to the pod's group, removed."""

import errno
import os
import stat
from pathlib import Path

import pytest

from lightship import kinds
from lightship.meta.rest import DeleteOptions

from . import site
from .make import container, pod
from .site import Site
from .test_agent import config_map


def test_mounted_config_maps_and_labels_are_kept_up_to_date() -> None:
    async def scenario(s: Site) -> None:
        labels = {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}
        await s.client.create(kinds.CONFIG_MAPS, config_map({"a": "1"}))
        mounts = [{"name": "v", "mountPath": "/etc/v"}, {"name": "w", "mountPath": "/etc/w"}]
        volumes = [{"name": "v", "configMap": {"name": "cm"}}, {"name": "w", **labels}]
        await s.run_pod(pod(container(volumeMounts=mounts), volumes=volumes, meta={"labels": {"x": "1"}}))
        await s.until_phase("Running")
        v, w = (Path(m.source) for m in s.runtime.spec("main").mounts[:2])
        assert ((v / "a").read_text(), (w / "labels").read_text()) == ("1", 'x="1"')
        await s.client.patch(kinds.CONFIG_MAPS, "cm", {"data": {"a": "2", "b": "3"}}, "default")
        await s.client.patch(kinds.PODS, "p", {"metadata": {"labels": {"x": "2"}}}, "default")
        await s.clock.sleep(1)
        assert ((v / "a").read_text(), (v / "b").read_text(), (w / "labels").read_text()) == ("2", "3", 'x="2"')

    site.run(scenario)


def test_a_mounted_config_map_that_vanishes_leaves_its_files_until_it_is_back() -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(kinds.CONFIG_MAPS, config_map({"a": "1"}))
        mounts = [{"name": "v", "mountPath": "/etc/v"}]
        await s.run_pod(pod(container(volumeMounts=mounts), volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
        await s.until_phase("Running")
        v = Path(s.runtime.spec("main").mounts[0].source)
        await s.client.delete(kinds.CONFIG_MAPS, "cm", "default")
        await s.clock.sleep(1000)
        assert (v / "a").read_text() == "1"
        assert ("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "cm" not found') in await s.events()
        began = s.clock.monotonic()
        await s.client.create(kinds.CONFIG_MAPS, config_map({"a": "2"}))
        while (v / "a").read_text() != "2":
            await s.clock.sleep(0.01)
        assert s.clock.monotonic() - began < 0.1, "news of the ConfigMap wakes the pod, not a timer"

    site.run(scenario)


def test_a_volume_that_cannot_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(kinds.CONFIG_MAPS, config_map({"a": "1"}))
        mounts = [{"name": "v", "mountPath": "/etc/v"}]
        await s.run_pod(pod(container(volumeMounts=mounts), volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
        await s.until_phase("Running")
        v = Path(s.runtime.spec("main").mounts[0].source)
        before, full = os.fchmod, [True]

        def fchmod(fd: int, mode: int) -> None:
            if full[0]:
                raise OSError(errno.ENOSPC, "No space left on device", "a")
            before(fd, mode)

        monkeypatch.setattr(os, "fchmod", fchmod)
        await s.client.patch(kinds.CONFIG_MAPS, "cm", {"data": {"a": "2"}}, "default")
        await s.clock.sleep(30)
        assert (v / "a").read_text() == "1"
        assert sorted(os.listdir(v)) == sorted([os.readlink(v / "..data"), "..data", "a"]), "nothing half written"
        full[0] = False
        await s.clock.sleep(130)
        assert (v / "a").read_text() == "2"
        assert ("FailedMount", 'MountVolume.SetUp failed for volume "v" : no space left on device') in await s.events()

    site.run(scenario)


def test_the_files_of_a_pod_go_whatever_it_made_of_them_and_nothing_else(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    precious.chmod(0o500)

    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v", "emptyDir": {}}]))
        await s.until_phase("Running")
        v = Path(s.runtime.spec("main").mounts[0].source)
        (v / "out").symlink_to(precious)
        (v / "closed/deep").mkdir(parents=True)
        (v / "closed/deep/file").write_text("x")
        if os.geteuid() == 0:
            os.chown(v / "closed/deep", 12345, 12345)
        for path in (v / "closed/deep", v / "closed", v):
            path.chmod(0)
        await s.client.delete(kinds.PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        await s.until_gone()
        assert os.listdir(s.data / "pods") == []

    site.run(scenario)
    assert (precious / "file").read_text() == "x"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o500


def test_a_pod_with_a_group_of_its_own() -> None:
    async def scenario(s: Site) -> None:
        gid = os.getgid()
        volumes = [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
        await s.run_pod(pod(volumes=volumes, securityContext={"fsGroup": gid}))
        await s.until_phase("Running")
        (sandbox,) = s.runtime.sandboxes.values()
        (memory,) = sandbox.memory
        given = os.geteuid() == 0
        assert (memory.size, memory.gid) == (1 << 20, gid if given else None)
        assert stat.S_IMODE((Path(memory.path).parent / "v").stat().st_mode) == (0o2777 if given else 0o777)

    site.run(scenario)
