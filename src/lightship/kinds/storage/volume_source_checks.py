"""What can be wrong with the sources of PersistentVolumes, one function each.

Called by `persistent_volume_checks`, which finds the source of a volume. Most of them
no cluster mounts any more; they are judged all the same.
Contract: kube 1.36 pkg/apis/core/validation, validate…PersistentVolumeSource.
"""

import re
from collections.abc import Callable

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PAIR = "must be a host:port pair or multiple pairs separated by commas"
_CACHING = ("None", "ReadOnly", "ReadWrite")
_DISK_KINDS = ("Dedicated", "Managed", "Shared")
_MANAGED_DISK = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB_DISK = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_ISCSI_LIMIT = 64
_DRIVER_LIMIT = 63
_iqn = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$", re.ASCII).search
_eui = re.compile(r"eui.[A-Za-z0-9]{16}").fullmatch
_naa = re.compile(r"naa.[A-Za-z0-9]{32}").fullmatch


def csi_driver(path: str, name: str) -> list[Cause]:
    """The name of a CSI driver, wherever it stands."""
    if not name:
        return [errors.required(path)]
    causes = [errors.too_long(path, _DRIVER_LIMIT)] if len(name.encode()) > _DRIVER_LIMIT else []
    wrong = checking.check_name(path, name.lower(), "subdomain")
    return causes + [errors.invalid_value(path, name, c.message.rpartition('": ')[2]) for c in wrong]


def _needed(path: str, source: Obj, *fields: str) -> list[Cause]:
    return [errors.required(f"{path}.{field}") for field in fields if not source.get(field)]


def host_path(path: str, source: Obj, name: str) -> list[Cause]:
    if not source.get("path"):
        return [errors.required(f"{path}.path")]
    causes = checking.no_backsteps(f"{path}.path", source["path"])
    return causes + checking.one_of(f"{path}.type", source.get("type"), _HOST_PATH_TYPES)


def _disk(identity: str) -> Callable[[str, Obj, str], list[Cause]]:
    def check(path: str, source: Obj, name: str) -> list[Cause]:
        causes = _needed(path, source, identity)
        partition = source.get("partition") or 0
        if not 0 <= partition <= 255:
            causes.append(errors.invalid_value(f"{path}.partition", partition, "must be between 1 and 255, inclusive"))
        return causes

    return check


def _plain(*fields: str) -> Callable[[str, Obj, str], list[Cause]]:
    return lambda path, source, name: _needed(path, source, *fields)


def glusterfs(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _needed(path, source, "endpoints", "path")
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        why = "if the endpointnamespace is set, it must be a valid namespace name"
        causes.append(errors.invalid_value(f"{path}.endpointsNamespace", "", why))
    elif namespace is not None:
        causes += checking.check_name(f"{path}.endpointsNamespace", namespace, "label")
    return causes


def flocker(path: str, source: Obj, name: str) -> list[Cause]:
    dataset, uuid = source.get("datasetName") or "", source.get("datasetUUID")
    causes: list[Cause] = []
    if not dataset and not uuid:
        causes.append(errors.required(path, "one of datasetName and datasetUUID is required"))
    if dataset and uuid:
        causes.append(errors.invalid_value(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in dataset:
        causes.append(errors.invalid_value(f"{path}.datasetName", dataset, "must not contain '/'"))
    return causes


def nfs(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _needed(path, source, "server", "path")
    if not (source.get("path") or "").startswith("/"):
        causes.append(errors.invalid_value(f"{path}.path", source.get("path") or "", "must be an absolute path"))
    return causes


def quobyte(path: str, source: Obj, name: str) -> list[Cause]:
    registry = source.get("registry") or ""
    causes: list[Cause] = []
    if not registry:
        causes.append(errors.required(f"{path}.registry", _PAIR))
    elif len(source.get("tenant") or "") > 64:
        causes.append(errors.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters"))
    else:
        wrong = [pair for pair in registry.split(",") if not _is_host_port(pair)]
        causes += [errors.invalid_value(f"{path}.registry", registry, _PAIR) for _ in wrong]
    return causes + _needed(path, source, "volume")


def _is_host_port(pair: str) -> bool:
    host, colon, port = pair.rpartition(":")
    if host.startswith("["):
        return bool(colon) and host.endswith("]") and not set("[]") & set(host[1:-1] + port)
    return bool(colon) and not set(":[]") & set(host) and not set("[]") & set(port)


def iscsi(path: str, source: Obj, name: str) -> list[Cause]:
    portal, iqn, initiator = source.get("targetPortal") or "", source.get("iqn") or "", source.get("initiatorName")
    causes = _needed(path, source, "targetPortal")
    if initiator is not None and len(f"{name}:{portal}") > _ISCSI_LIMIT:
        why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
        causes.append(errors.invalid_value(f"{path}.targetportal", portal, why))
    if not iqn:
        causes.append(errors.required(f"{path}.iqn"))
    elif not _is_qualified(iqn):
        causes.append(errors.invalid_value(f"{path}.iqn", iqn, "must be valid format"))
    causes += checking.in_range(f"{path}.lun", source.get("lun") or 0, 0, 255)
    secret = source.get("secretRef")
    if secret is None and (source.get("chapAuthDiscovery") or source.get("chapAuthSession")):
        causes.append(errors.required(f"{path}.secretRef"))
    if secret is not None:
        causes += _needed(f"{path}.secretRef", secret, "name")
    if initiator is not None and not _is_qualified(initiator):
        causes.append(errors.invalid_value(f"{path}.initiatorname", initiator, "must be valid format"))
    return causes


def _is_qualified(name: str) -> bool:
    """An iSCSI name of one of the three kinds."""
    match = {"iqn": _iqn, "eui": _eui, "naa": _naa}.get(name[:3])
    return match is not None and match(name) is not None


def cinder(path: str, source: Obj, name: str) -> list[Cause]:
    secret = source.get("secretRef")
    return _needed(path, source, "volumeID") + (_needed(f"{path}.secretRef", secret, "name", "namespace") if secret is not None else [])


def fibre_channel(path: str, source: Obj, name: str) -> list[Cause]:
    targets, ids, lun = source.get("targetWWNs") or [], source.get("wwids") or [], source.get("lun")
    causes: list[Cause] = []
    if not targets and not ids:
        causes.append(errors.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if targets and ids:
        why = "targetWWNs and wwids can not be specified simultaneously"
        causes.append(errors.invalid_value(f"{path}.targetWWNs", targets, why))
    if targets and lun is None:
        causes.append(errors.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif targets:
        causes += checking.in_range(f"{path}.lun", lun, 0, 255)
    return causes


def flex(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _needed(path, source, "driver")
    for key in source.get("options") or {}:
        namespace = "." + key.partition("/")[0].lower()
        if namespace.endswith((".kubernetes.io", ".k8s.io")):
            why = "kubernetes.io and k8s.io namespaces are reserved"
            causes.append(errors.invalid_value(f"{path}.options[{key}]", key, why))
    return causes


def azure_file(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _needed(path, source, "secretName", "shareName")
    return causes + ([errors.required(f"{path}.secretNamespace")] if source.get("secretNamespace") == "" else [])


def azure_disk(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _needed(path, source, "diskName", "diskURI")
    causes += checking.one_of(f"{path}.cachingMode", source.get("cachingMode"), _CACHING)
    kind, uri = source.get("kind"), source.get("diskURI") or ""
    causes += checking.one_of(f"{path}.kind", kind, _DISK_KINDS)
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        causes.append(errors.not_supported(f"{path}.diskURI", uri, (_MANAGED_DISK,)))
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        causes.append(errors.not_supported(f"{path}.diskURI", uri, (_BLOB_DISK,)))
    return causes


def local(path: str, source: Obj, name: str) -> list[Cause]:
    return checking.no_backsteps(f"{path}.path", source["path"]) if source.get("path") else [errors.required(f"{path}.path")]


def storage_os(path: str, source: Obj, name: str) -> list[Cause]:
    causes = checking.required_name(f"{path}.volumeName", source.get("volumeName"), "label")
    if source.get("volumeNamespace"):
        causes += checking.check_name(f"{path}.volumeNamespace", source["volumeNamespace"], "label")
    secret = source.get("secretRef")
    return causes + (_needed(f"{path}.secretRef", secret, "name", "namespace") if secret is not None else [])


def csi(path: str, source: Obj, name: str) -> list[Cause]:
    causes = csi_driver(f"{path}.driver", source.get("driver") or "")
    causes += _needed(path, source, "volumeHandle")
    for field in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"):
        secret = source.get(field)
        if secret is not None:
            causes += checking.required_name(f"{path}.{field}.name", secret.get("name"), "subdomain")
            causes += checking.required_name(f"{path}.{field}.namespace", secret.get("namespace"), "label")
    return causes


SOURCES: dict[str, tuple[str, Callable[[str, Obj, str], list[Cause]]]] = {
    "hostPath": ("hostPath", host_path),
    "gcePersistentDisk": ("persistentDisk", _disk("pdName")),
    "awsElasticBlockStore": ("awsElasticBlockStore", _disk("volumeID")),
    "glusterfs": ("glusterfs", glusterfs),
    "flocker": ("flocker", flocker),
    "nfs": ("nfs", nfs),
    "rbd": ("rbd", _plain("monitors", "image")),
    "quobyte": ("quobyte", quobyte),
    "cephfs": ("cephfs", _plain("monitors")),
    "iscsi": ("iscsi", iscsi),
    "cinder": ("cinder", cinder),
    "fc": ("fc", fibre_channel),
    "flexVolume": ("flexVolume", flex),
    "azureFile": ("azureFile", azure_file),
    "vsphereVolume": ("vsphereVolume", _plain("volumePath")),
    "photonPersistentDisk": ("photonPersistentDisk", _plain("pdID")),
    "portworxVolume": ("portworxVolume", _plain("volumeID")),
    "azureDisk": ("azureDisk", azure_disk),
    "scaleIO": ("scaleIO", _plain("gateway", "system", "volumeName")),
    "local": ("local", local),
    "storageos": ("storageos", storage_os),
    "csi": ("csi", csi),
}
"""Field → (what the real server calls it in a path, its check), in the order in which they are looked for."""
