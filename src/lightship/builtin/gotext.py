"""Values as Go prints them, for texts of events and conditions that contain some. Pure.

Called by controllers whose counterparts upstream print objects with `%v`.
"""

from lightship.meta.objects import Obj


def selector(given: Obj | None) -> str:
    """A label selector as Go prints one."""
    if given is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((given.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{e.get('key')},Operator:{e.get('operator')},Values:[{' '.join(e.get('values') or ())}],}},"
        for e in given.get("matchExpressions") or ()
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
