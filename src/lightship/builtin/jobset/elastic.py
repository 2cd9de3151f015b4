"""Jobs that grow and shrink while they run, as their JobSet says. Pure: called by `sync`.

Contract: JobSet 0.12 (KEP-463); behind the gate ElasticJobSet. Only Jobs whose parallelism and completions are to be the same are changed.
"""

from collections.abc import Iterable, Iterator

from lightship.builtin.jobset import terms
from lightship.builtin.jobset.children import replicated_jobs
from lightship.meta import objects
from lightship.meta.objects import Obj

FIELDS = ("parallelism", "completions")


def changes(jobset: Obj, active: Iterable[Obj]) -> Iterator[tuple[Obj, Obj]]:
    """Jobs that have another size than they should, each with the merge patch that mends it."""
    wanted = {r["name"]: objects.get_path(r, "template", "spec") or {} for r in replicated_jobs(jobset)}
    for job in active:
        spec = wanted.get(objects.labels(job).get(terms.REPLICATED_JOB, ""))
        if spec is None or spec.get("parallelism") is None or spec.get("parallelism") != spec.get("completions"):
            continue
        if any(objects.spec(job).get(field) != spec[field] for field in FIELDS):
            yield job, {"spec": {field: spec[field] for field in FIELDS}}
