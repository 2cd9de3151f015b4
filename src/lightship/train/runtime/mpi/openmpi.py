"""Open MPI of an environment: where it is, and what it must be told to work in pods.

`mpirun` hands over to it, `agent` tells the programs that it starts where the library is. Knows versions 4 and 5.
"""

import contextlib
import os
from collections.abc import MutableMapping
from pathlib import Path

_OURS = __package__.encode()
"""In our own `mpirun`, which is a script."""
_SINCE_5 = {
    "OMPI_MCA_orte_default_hostfile": "PRTE_MCA_prte_default_hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "PRTE_MCA_prte_keep_fqdn_hostnames",
    "OMPI_MCA_orte_set_default_slots": "PRTE_MCA_prte_set_default_slots",
    "OMPI_MCA_plm_rsh_args": "PRTE_MCA_plm_ssh_args",
}
"""Open MPI's names until version 4 and since; with the wrong ones it finds no hosts, and says nothing."""
_IN_PODS = {
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "PRTE_MCA_prte_do_not_resolve": "0",
}
"""Nodes of a job share processors here, so nothing is bound to any; names are looked up, so that a launcher knows itself in a list."""
_AS_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "PRTE_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM")
_LIBRARIES = ("libmpi.so.40", "libmpi.so")


def installed(path: str) -> str:
    """The launcher of an MPI library on PATH, ours passed over; empty when there is none."""
    for directory in filter(None, path.split(os.pathsep)):
        place = Path(directory, "mpirun")
        with contextlib.suppress(OSError):
            if os.access(place, os.X_OK) and _OURS not in place.read_bytes()[:1024]:
                return str(place)
    return ""


def prepare(environment: MutableMapping[str, str], launcher: str, ssh: str) -> None:
    """Tell Open MPI of either version what the other was told, and what pods need. What is set already stays."""
    for before, since in _SINCE_5.items():
        said = environment.get(before) or environment.get(since)
        if said:
            environment.setdefault(before, said)
            environment.setdefault(since, said)
    for name, value in {**_IN_PODS, "OMPI_MCA_plm_rsh_agent": ssh, "PRTE_MCA_plm_ssh_agent": ssh, **libraries(launcher)}.items():
        environment.setdefault(name, value)
    if os.geteuid() == 0:  # a pod's root is nobody to be kept from anything
        environment.update(dict.fromkeys(_AS_ROOT, "1"))


def libraries(launcher: str) -> dict[str, str]:
    """Where MLX finds the MPI library that belongs to a launcher; it looks for a name that wheels of Open MPI do not have."""
    places = [Path(launcher).parent.parent / "lib" / name for name in _LIBRARIES]
    return next(({"MLX_MPI_LIBNAME": str(place)} for place in places if place.is_file()), {})
