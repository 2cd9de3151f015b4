"""Admission rules are called when they have something to go by, and only then."""

from lightship.apiserver.rules import Rule, Rules
from lightship.kinds import PODS
from lightship.meta.admission import Admission, AdmissionRequest


class Things:
    def __init__(self) -> None:
        self.shape = 0
        self.full: set[str] = set()

    def is_empty(self, bucket: str) -> bool:
        return bucket not in self.full


async def judge(request: AdmissionRequest) -> None:
    return None


async def last(request: AdmissionRequest) -> None:
    return None


def test_rules_wait_for_their_objects_and_run_in_order() -> None:
    quota = Admission(name="q", resources=(), validate=last, last=True, buckets=("core/resourcequotas",))
    always = Admission(name="a", resources=(PODS,), mutate=judge, validate=judge)
    rules, things = Rules([Rule(quota, True), Rule(always, True)]), Things()
    assert rules.running(things, "CREATE", "") == ((judge,), (judge,), False, (), False)
    things.full.add("core/resourcequotas")
    things.shape += 1
    assert rules.running(things, "CREATE", "") == ((judge,), (judge, last), False, (), False)
    things.full.clear()
    things.shape += 1
    assert rules.running(things, "CREATE", "").validating == (judge,)


def test_rules_of_some_operations_and_of_whole_objects() -> None:
    rule = Admission(name="r", resources=(), mutate=judge, operations=("CREATE",), whole=True)
    rules, things = Rules([Rule(rule, False)]), Things()
    assert rules.running(things, "CREATE", "") == ((judge,), (), True, (), False)
    assert rules.running(things, "CREATE", "status").mutating == ()
    assert rules.running(things, "UPDATE", "").mutating == ()
