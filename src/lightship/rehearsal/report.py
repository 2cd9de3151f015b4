"""What came of a rehearsal: the ledger as numbers for programs, and as a quiet page of tables for people. Pure; called by `command`.

Nothing in it depends on the machine that it ran on: the same scenario and seed give the same report.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from lightship.cli.output import table
from lightship.meta import times

from .ledger import JobLife, Ledger, NodeLife
from .timeline import Timeline, spark

MOST_REASONS = MOST_LEFT = 8
_BYTES = ("memory", "ephemeral-storage", "hugepages-2Mi", "hugepages-1Gi")


def report(
    ledger: Ledger, end: float, refused: Sequence[tuple[float, str, str]] = (), left: Sequence[tuple[JobLife, str]] = ()
) -> dict[str, Any]:
    """Everything; times are in seconds from the beginning. `left` are jobs that were waited for in vain, with why."""
    return {
        "seconds": round(end, 3),
        "workloads": _workloads(ledger.jobs.values(), end),
        "pods": _pods(ledger),
        "resources": _resources(ledger),
        "nodes": _nodes(ledger, end),
        "unschedulable": _unschedulable(ledger),
        "refused": [{"at": round(at, 3), "what": what, "why": why} for at, what, why in refused],
        "neverEnded": [{"kind": job.kind, "namespace": job.namespace, "name": job.name, "why": why} for job, why in left],
        "jobs": [_job(job) for job in ledger.jobs.values()],
    }


def _workloads(jobs: Iterable[JobLife], end: float) -> list[dict[str, Any]]:
    found: dict[str, list[JobLife]] = {}
    for job in jobs:
        found.setdefault(job.kind, []).append(job)
    return [{"kind": kind, **_summary(some, end)} for kind, some in sorted(found.items())]


def _summary(jobs: list[JobLife], end: float) -> dict[str, Any]:
    waited = sorted((job.started if job.started is not None else job.ended or end) - job.created for job in jobs)
    ran = sorted(job.ended - job.started for job in jobs if job.ended is not None and job.started is not None)
    return {
        "submitted": len(jobs),
        "completed": sum(job.result == "Completed" for job in jobs),
        "failed": sum(job.result == "Failed" for job in jobs),
        "deleted": sum(job.result == "Deleted" for job in jobs),
        "running": sum(not job.result and job.started is not None for job in jobs),
        "waiting": sum(not job.result and job.started is None for job in jobs),
        "waitedSeconds": _spread(waited),
        "ranSeconds": _spread(ran),
    }


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    late = values[min(len(values) - 1, int(len(values) * 0.95))]
    return {"median": round(median(values), 3), "p95": round(late, 3), "most": round(values[-1], 3)}


def _pods(ledger: Ledger) -> dict[str, Any]:
    pods = ledger.pods.values()
    results = {result: sum(pod.result == result.capitalize() for pod in pods) for result in ("succeeded", "failed", "deleted")}
    return {
        "created": len(pods),
        **results,
        "running": sum(not pod.result and pod.started is not None for pod in pods),
        "pending": sum(not pod.result and pod.started is None for pod in pods),
        "disrupted": dict(sorted(ledger.evictions.items())),
    }


def _resources(ledger: Ledger) -> list[dict[str, Any]]:
    """Of each resource that was used: how much there was, how much of it was taken, and how both went over time."""
    found = []
    for name in sorted(ledger.used):
        used, there = ledger.used[name], ledger.capacity.get(name, Timeline())
        if not used.peak:
            continue
        found.append(
            {
                "name": name,
                "capacity": round(there.mean, 3),
                "used": round(used.mean, 3),
                "peak": round(used.peak, 3),
                "share": round(used.total / there.total, 4) if there.total else None,
                "hours": round(used.total / 3600, 3),
                "hoursThere": round(there.total / 3600, 3),
                "partSeconds": used.width,
                "usedOverTime": [round(value, 3) for value in used.means()],
            }
        )
    return found


def _nodes(ledger: Ledger, end: float) -> dict[str, Any]:
    shapes: dict[str, list[NodeLife]] = {}
    for node in ledger.nodes.values():
        shapes.setdefault(node.shape, []).append(node)
    rows = [{"shape": shape, "nodes": len(nodes), **_cost(nodes, end)} for shape, nodes in sorted(shapes.items())]
    return {
        "ready": round(ledger.well.mean, 3),
        "most": int(ledger.well.peak),
        "cost": round(sum(row["cost"] for row in rows), 2),
        "shapes": rows,
    }


def _cost(nodes: list[NodeLife], end: float) -> dict[str, Any]:
    hours = [((node.gone if node.gone is not None else end) - node.created) / 3600 for node in nodes]
    cost = sum(node.price * hour for node, hour in zip(nodes, hours, strict=True))
    return {"hours": round(sum(hours), 3), "pricePerHour": nodes[0].price, "cost": round(cost, 2)}


def _unschedulable(ledger: Ledger) -> list[dict[str, Any]]:
    found = [{"reason": why, "pods": len(ledger.refused[why]), "waitedSeconds": total} for why, total in ledger.refusals.items()]
    return sorted(found, key=lambda entry: (-entry["waitedSeconds"], entry["reason"]))


def _job(job: JobLife) -> dict[str, Any]:
    return {
        "kind": job.kind,
        "namespace": job.namespace,
        "name": job.name,
        "submitted": round(job.created, 3),
        "started": None if job.started is None else round(job.started, 3),
        "ended": None if job.ended is None else round(job.ended, 3),
        "result": job.result or ("Running" if job.started is not None else "Waiting"),
        "pods": job.pods,
    }


def page(found: dict[str, Any], *, wide: bool = False) -> str:
    """The report for people; `wide` names every job."""
    parts = [
        _workload_table(found["workloads"]),
        _pod_line(found["pods"]),
        _resource_table(found["resources"]),
        _node_table(found["nodes"]),
        _reason_table(found["unschedulable"], wide=wide),
        _refused_table(found["refused"]),
        _left_table(found["neverEnded"], wide=wide),
        _job_table(found["jobs"]) if wide else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _workload_table(workloads: list[dict[str, Any]]) -> str:
    columns = ("workload", "submitted", "completed", "failed", "deleted", "running", "waiting")
    rows = [[w["kind"], *(w[column] for column in columns[1:]), *_ages(w["waitedSeconds"]), *_ages(w["ranSeconds"])] for w in workloads]
    return table((*columns, "waited", "waited p95", "ran", "ran p95"), rows) if rows else ""


def _ages(spread: dict[str, float] | None) -> tuple[str, str]:
    return (times.age(spread["median"]), times.age(spread["p95"])) if spread else ("-", "-")


def _pod_line(pods: dict[str, Any]) -> str:
    columns = ("created", "succeeded", "failed", "deleted", "running", "pending")
    why = ", ".join(f"{count} {reason}" for reason, count in pods["disrupted"].items())
    return table(("pods", *columns[1:], "disrupted"), [[pods[column] for column in columns] + [why or "-"]])


def _resource_table(resources: list[dict[str, Any]]) -> str:
    rows = []
    for entry in resources:
        name, share = entry["name"], entry["share"]
        there = entry["capacity"]
        over = spark(entry["usedOverTime"], max(there, entry["peak"]))
        used = [_amount(name, value) for value in (there, entry["used"], entry["peak"])]
        hours = "-" if name == "pods" else _hours(name, entry["hours"])
        rows.append([name, *used, "-" if share is None else f"{share:.0%}", hours, over])
    return table(("resource", "capacity", "used (mean)", "peak", "share", "hours used", "over time"), rows) if rows else ""


def _amount(name: str, value: float) -> str:
    if name in _BYTES:
        return f"{value / 2**30:,.1f}Gi"
    return f"{value:,.1f}".removesuffix(".0")


def _hours(name: str, value: float) -> str:
    return f"{value / 2**30:,.0f} GiB·h" if name in _BYTES else f"{value:,.1f} h"


def _node_table(nodes: dict[str, Any]) -> str:
    rows = [[s["shape"] or "-", s["nodes"], f"{s['hours']:,.1f}", *_money(s)] for s in nodes["shapes"]]
    if len(rows) > 1 and nodes["cost"]:
        rows.append(["all", sum(s["nodes"] for s in nodes["shapes"]), "", "", f"{nodes['cost']:,.2f}"])
    return table(("node shape", "nodes", "hours", "price/h", "cost"), rows) if rows else ""


def _money(shape: dict[str, Any]) -> tuple[str, str]:
    return (f"{shape['pricePerHour']:g}", f"{shape['cost']:,.2f}") if shape["pricePerHour"] else ("-", "-")


def _reason_table(reasons: list[dict[str, Any]], *, wide: bool) -> str:
    shown = reasons if wide else reasons[:MOST_REASONS]
    rows = [[entry["reason"], entry["pods"], times.age(entry["waitedSeconds"] / entry["pods"])] for entry in shown]
    if len(reasons) > len(shown):
        rows.append([f"... {len(reasons) - len(shown)} more (-o wide)", "", ""])
    return table(("pods waited for", "pods", "each (mean)"), rows) if rows else ""


def _refused_table(refused: list[dict[str, Any]]) -> str:
    return table(("refused", "after", "why"), [[e["what"], times.age(e["at"]), e["why"]] for e in refused]) if refused else ""


def _left_table(left: list[dict[str, Any]], *, wide: bool) -> str:
    shown = left if wide else left[:MOST_LEFT]
    rows = [[f"{entry['kind']} {entry['namespace']}/{entry['name']}", entry["why"] or "-"] for entry in shown]
    if len(left) > len(shown):
        rows.append([f"... {len(left) - len(shown)} more (-o wide)", ""])
    return table(("will never end", "waits for"), rows) if rows else ""


def _job_table(jobs: list[dict[str, Any]]) -> str:
    rows = [
        [
            *(job["kind"], job["namespace"], job["name"], times.age(job["submitted"])),
            times.age(job["started"] - job["submitted"]) if job["started"] is not None else "-",
            times.age(job["ended"] - job["started"]) if job["ended"] is not None and job["started"] is not None else "-",
            *(job["pods"], job["result"]),
        ]
        for job in jobs
    ]
    return table(("kind", "namespace", "name", "submitted", "waited", "ran", "pods", "result"), rows) if rows else ""
