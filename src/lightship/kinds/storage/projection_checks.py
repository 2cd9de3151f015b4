"""What can be wrong with a volume that is made of several sources.

Called by `volume_checks`, once or never for most pods: the projection that every pod has to find its account's token was judged before.
Contract: kube 1.36 validateProjectionSources; texts compared with kube-apiserver.
"""

from functools import lru_cache

from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .volume_files import check_downward_file, check_file, check_mode, check_place

_MIN_TOKEN_SECONDS, _MAX_TOKEN_SECONDS = 600, 2**32
_TWICE = "conflicting duplicate paths"


def is_common(volume: Obj, *, has_account: bool) -> bool:
    """An empty directory, or the projection that every pod has to find its account's token: nothing to look for."""
    if len(volume) != 2 or "name" not in volume:
        return False
    projected = volume.get("projected")
    if projected:
        return _is_right(codec.encode(projected), has_account=has_account)
    return volume.get("emptyDir") == {}


@lru_cache(maxsize=256)
def _is_right(projected: bytes, *, has_account: bool) -> bool:
    """Remembers what was judged: the pods of a cluster differ in the names of these volumes, hardly ever in what is in them."""
    return not check("", codec.decode(projected), has_account=has_account)


def check(path: str, source: Obj, *, has_account: bool) -> list[Cause]:
    causes, taken = check_mode(path, "defaultMode", source), set[str]()
    for i, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{i}]"
        for kind in ("secret", "configMap"):
            if (found := projection.get(kind)) is not None:
                causes += _check_keys(path, f"{at}.{kind}", found, taken)
        if (found := projection.get("downwardAPI")) is not None:
            for item in found.get("items") or ():
                causes += check_downward_file(f"{at}.downwardAPI", item)
                causes += _check_taken(path, item.get("path"), item.get("path"), taken)
        if (found := projection.get("serviceAccountToken")) is not None:
            causes += _check_token(f"{at}.serviceAccountToken", found, has_account=has_account)
        if sum(value is not None for value in projection.values()) > 1:
            causes.append(errors.forbidden_field(at, "may not specify more than 1 volume type per source"))
    return causes


def _check_keys(volume: str, path: str, source: Obj, taken: set[str]) -> list[Cause]:
    name = source.get("name") or ""
    causes = [] if name else [errors.required(f"{path}.name")]
    for i, item in enumerate(source.get("items") or ()):
        causes += check_file(f"{path}.items[{i}]", item)
        causes += _check_taken(volume, item.get("path"), name, taken)
    return causes


def _check_taken(volume: str, place: str | None, shown: str | None, taken: set[str]) -> list[Cause]:
    if not place:
        return []
    if place in taken:
        return [errors.invalid_value(volume, shown, _TWICE)]
    taken.add(place)
    return []


def _check_token(path: str, token: Obj, *, has_account: bool) -> list[Cause]:
    causes: list[Cause] = []
    seconds = token.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_TOKEN_SECONDS:
        causes.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds is not None and seconds > _MAX_TOKEN_SECONDS:
        causes.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    causes += check_place(f"{path}.path", token.get("path") or "")
    if not has_account:
        causes.append(errors.forbidden_field(path, "must not be specified when serviceAccountName is not set"))
    return causes
