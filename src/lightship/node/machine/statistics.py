"""What nodes tell of themselves in numbers: the summary of statistics and the texts that monitoring systems collect.

Pure builders over looks of `sampling`; `pods.measuring` calls them. Contract: kubelet stats/v1alpha1 Summary, /metrics/resource,
/metrics/cadvisor (the names that dashboards and adapters use).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Usage

from .sampling import Rates


class Filesystem(NamedTuple):
    """Bytes and inodes of one. Some of what is not used may be kept for root, so that it is not available either."""

    capacity: int
    available: int
    used: int
    inodes: int
    inodes_free: int


class Counted(NamedTuple):
    """A container that runs: its id, and when it was started."""

    id: str
    started: float


class Pod(NamedTuple):
    object: Obj
    containers: Mapping[str, Counted]
    disk: Mapping[str, int]
    """Bytes on disk by what has them: `logs/<container>`, `rootfs/<container>`, `volume/<volume>`; what was measured at all."""


def summary(node: str, boot: float, rates: Rates, pods: Iterable[Pod], disk: Filesystem, images: Filesystem) -> Obj:
    """stats/v1alpha1 Summary. `boot`: when the node was started."""
    time = times.rfc3339(rates.new.time)
    new = rates.new.node
    return {
        "node": {
            "nodeName": node,
            "startTime": times.rfc3339(boot),
            "cpu": {"time": time, "usageNanoCores": rates.node, "usageCoreNanoSeconds": new.cpu},
            "memory": {
                "time": time,
                "availableBytes": new.available,
                "usageBytes": new.working_set,
                "workingSetBytes": new.working_set,
            },
            "fs": _filesystem(disk, time),
            "runtime": {"imageFs": _filesystem(images, time)},
        },
        "pods": [_pod(pod, rates, disk, time) for pod in pods],
    }


def _pod(pod: Pod, rates: Rates, disk: Filesystem, time: str) -> Obj:
    meta = objects.meta(pod.object)
    found: Obj = {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": objects.status(pod.object).get("startTime") or meta.get("creationTimestamp"),
        "containers": [_container(name, counted, pod, rates, disk, time) for name, counted in pod.containers.items()],
    }
    used = rates.new.used.get(meta["uid"])
    if used is not None:
        found |= _usage(used, rates.of(meta["uid"]), time)
        found["process_stats"] = {"process_count": used.processes}
    if pod.disk:
        volumes = {key.partition("/")[2]: amount for key, amount in pod.disk.items() if key.startswith("volume/")}
        found["volume"] = [{"name": name, **_filesystem(disk, time), "usedBytes": amount} for name, amount in volumes.items()]
        found["ephemeral-storage"] = _filesystem(disk, time) | {"usedBytes": sum(pod.disk.values())}
    return found


def _container(name: str, counted: Counted, pod: Pod, rates: Rates, disk: Filesystem, time: str) -> Obj:
    found: Obj = {"name": name, "startTime": times.rfc3339(counted.started)}
    used = rates.new.used.get(counted.id)
    if used is not None:
        found |= _usage(used, rates.of(counted.id, counted.started), time)
    for part in ("rootfs", "logs"):
        if f"{part}/{name}" in pod.disk:
            found[part] = _filesystem(disk, time) | {"usedBytes": pod.disk[f"{part}/{name}"]}
    return found


def _usage(used: Usage, rate: int | None, time: str) -> Obj:
    cpu: Obj = {"time": time, "usageCoreNanoSeconds": used.cpu}
    if rate is not None:
        cpu["usageNanoCores"] = rate
    memory = {
        "time": time,
        "usageBytes": used.memory,
        "workingSetBytes": used.working_set,
        "rssBytes": used.rss,
        "pageFaults": used.page_faults,
        "majorPageFaults": used.major_page_faults,
    }
    return {"cpu": cpu, "memory": memory}


def _filesystem(found: Filesystem, time: str) -> Obj:
    return {
        "time": time,
        "availableBytes": found.available,
        "capacityBytes": found.capacity,
        "usedBytes": found.used,
        "inodesFree": found.inodes_free,
        "inodes": found.inodes,
        "inodesUsed": found.inodes - found.inodes_free,
    }


class _Series:
    """One metric: its lines, in the text format of Prometheus."""

    def __init__(self, name: str, type: str, help: str) -> None:
        self.lines = [f"# HELP {name} {help}", f"# TYPE {name} {type}"]
        self._name = name

    def add(self, labels: Mapping[str, str], value: float, time: float | None = None) -> None:
        shown = ",".join(f'{name}="{text}"' for name, text in labels.items())
        stamp = "" if time is None else f" {int(time * 1000)}"
        self.lines.append(f"{self._name}{'{' + shown + '}' if shown else ''} {value:.17g}{stamp}")


def resource_metrics(rates: Rates, pods: Iterable[Pod]) -> str:
    """/metrics/resource."""
    time = rates.new.time
    node_cpu = _Series("node_cpu_usage_seconds_total", "counter", "[STABLE] Cumulative cpu time consumed by the node in core-seconds")
    node_memory = _Series("node_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the node in bytes")
    cpu = _Series("container_cpu_usage_seconds_total", "counter", "[STABLE] Cumulative cpu time consumed by the container in core-seconds")
    memory = _Series("container_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the container in bytes")
    started = _Series("container_start_time_seconds", "gauge", "[STABLE] Start time of the container since unix epoch in seconds")
    pod_cpu = _Series("pod_cpu_usage_seconds_total", "counter", "[STABLE] Cumulative cpu time consumed by the pod in core-seconds")
    pod_memory = _Series("pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes")
    errors = _Series("resource_scrape_error", "gauge", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise")
    node_cpu.add({}, rates.new.node.cpu / 1e9, time)
    node_memory.add({}, rates.new.node.working_set, time)
    errors.add({}, 0)
    for labels, counted, used in _measured(rates, pods):
        if counted is None:
            pod_cpu.add(labels, used.cpu / 1e9, time)
            pod_memory.add(labels, used.working_set, time)
        else:
            cpu.add(labels, used.cpu / 1e9, time)
            memory.add(labels, used.working_set, time)
            started.add(labels, counted.started)
    return _text(cpu, memory, started, node_cpu, node_memory, pod_cpu, pod_memory, errors)


def cadvisor_metrics(rates: Rates, pods: Iterable[Pod], cpus: int, memory: int) -> str:
    """/metrics/cadvisor, of which there is no more than the kernel counts for us."""
    time = rates.new.time
    cores = _Series("machine_cpu_cores", "gauge", "Number of logical CPU cores.")
    machine = _Series("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.")
    cpu = _Series("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.")
    usage = _Series(
        "container_memory_usage_bytes", "gauge", "Current memory usage in bytes, including all memory regardless of when it was accessed"
    )
    working = _Series("container_memory_working_set_bytes", "gauge", "Current working set in bytes.")
    rss = _Series("container_memory_rss", "gauge", "Size of RSS in bytes.")
    processes = _Series("container_threads", "gauge", "Number of threads running inside the container")
    cores.add({}, cpus)
    machine.add({}, memory)
    for labels, counted, used in _measured(rates, pods):
        full = {"container": "", **labels, "id": "" if counted is None else counted.id}
        for series, value in ((cpu, used.cpu / 1e9), (usage, used.memory), (working, used.working_set), (rss, used.rss)):
            series.add(full, value, time)
        processes.add(full, used.processes, time)
    return _text(cpu, usage, working, rss, processes, cores, machine)


def _measured(rates: Rates, pods: Iterable[Pod]) -> Iterator[tuple[dict[str, str], Counted | None, Usage]]:
    """Labels and usage of every pod (without a container) and every container."""
    for pod in pods:
        labels = {"namespace": objects.namespace(pod.object), "pod": objects.name(pod.object)}
        whole = rates.new.used.get(objects.uid(pod.object))
        if whole is not None:
            yield labels, None, whole
        for name, counted in pod.containers.items():
            used = rates.new.used.get(counted.id)
            if used is not None:
                yield {"container": name, **labels}, counted, used


def _text(*series: _Series) -> str:
    return "\n".join(line for one in series if len(one.lines) > 2 for line in one.lines) + "\n"
