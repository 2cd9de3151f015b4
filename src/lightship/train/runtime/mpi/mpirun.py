"""`mpirun` of our MPI images: Open MPI's where the environment has it, prepared for pods; our own launcher where not.

Programs that call MPI need the library, and the library its own launcher, so that comes first. It is told what Trainer says under names of
other versions, how to get into other nodes, and to bind nothing, since nodes of a job may share processors. Both kinds begin when all hosts
have addresses: a launcher that cannot resolve a name fails for good.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import credentials, hosts, launch, openmpi, options, remote

CHOICE = "LIGHTSHIP_MPIRUN"
"""`own` in the environment: our launcher, whatever is there."""
_ASKING = ("--version", "-V", "--help", "-h")


def main() -> None:
    """`argv[1]` is the path that it was started by, beside which `ssh` is."""
    own, arguments = sys.argv[1], sys.argv[2:]
    found = "" if os.environ.get(CHOICE) == "own" else openmpi.installed(os.environ.get("PATH", ""))
    try:
        if found:
            openmpi.prepare(os.environ, found, str(Path(own).with_name("ssh")))
            if not set(arguments[:1]) & set(_ASKING):
                asyncio.run(_wait_for_hosts(arguments))
            os.execv(found, [found, *arguments])
        if arguments[:1] and arguments[0] in _ASKING:
            print("mpirun (Lightship): starts processes on the hosts of a job; Open MPI's words, without an MPI library")
            return
        code = asyncio.run(launch.run(options.parse(arguments, os.environ), dict(os.environ)))
    except (options.OptionsError, hosts.PlacementError, remote.RemoteError, credentials.CredentialsError) as error:
        print(f"mpirun: {error}", file=sys.stderr)
        code = 1
    except OSError as error:
        print(f"mpirun: {error.filename or found}: {error.strerror}", file=sys.stderr)
        code = 127
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread may still wait for input


async def _wait_for_hosts(arguments: Sequence[str]) -> None:
    """Until names of all hosts are known. Raises `RemoteError`; what is wrong with the arguments the launcher itself will say."""
    try:
        asked = options.parse(arguments, os.environ)
        ranks = launch.placement(asked, dict(os.environ))
    except (options.OptionsError, hosts.PlacementError):
        return
    loop = asyncio.get_running_loop()
    for host in dict.fromkeys(rank.host for rank in ranks):
        if not launch.is_here(host, []):
            await launch.resolve(loop, host)
