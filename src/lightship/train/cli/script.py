"""`lightship train SCRIPT`: train a script of this machine on the platform, without writing a TrainJob or a line of Python for it.

Finds the files that the script needs, picks the runtime, submits a TrainJob with the files beside it, follows its log and ends as it did.
What the job is made of is `submission`, what travels `train.shipping`, what is shown `following`.
"""

import argparse
import asyncio
import os
import random
import shlex
import string
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster
from lightship.cli.command import program
from lightship.cli.errors import CliError
from lightship.cli.output import render, say
from lightship.cli.progress import seconds
from lightship.kinds import CONFIG_MAPS
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS, TRAINING_RUNTIMES
from lightship.train.missing import explain
from lightship.train.plugins import plan
from lightship.train.shipping import adoption, folder, imports
from lightship.train.shipping.errors import ShippingError
from lightship.train.shipping.parcel import Parcel, parcel

from . import submission
from .following import Follower, ending, exit_status, failure
from .verbs import listed, verb

if TYPE_CHECKING:
    from .verbs import Verbs

_SUFFIX = 5


class Code(NamedTuple):
    """What runs, and what travels for it."""

    script: str
    """Its path among the files, or the module's name."""
    files: list[folder.File]
    imports: set[str]


def add(verbs: "Verbs") -> None:
    parser = verb(verbs, "run", "train a script: `lightship train SCRIPT` for short", run, platform="--platform")
    parser.set_defaults(script_args=[])
    parser.usage = "lightship train SCRIPT [options] [-- words for the script]"
    parser.add_argument("script", metavar="SCRIPT", help="a script of this machine; what follows behind -- is for it")
    parser.add_argument("-m", "--module", action="store_true", help="SCRIPT is the name of a module, as in `python -m`")
    parser.add_argument("--nodes", type=_some, default=None, metavar="N", help="how many nodes (default: the runtime's)")
    parser.add_argument("--procs", "--nproc-per-node", type=_some, default=None, metavar="N", help="processes on each node")
    parser.add_argument("--framework", default="", help="torch, jax, xgboost, ... (default: what the script imports)")
    parser.add_argument("--runtime", default="", metavar="NAME", help="which runtime (default: the framework's; lightship train runtimes)")
    parser.add_argument("--name", dest="job", default="", metavar="JOB", help="what the job is called (default: the script, and a suffix)")
    parser.add_argument("--image", default="", help="another image than the runtime's")
    parser.add_argument("--env", action="append", default=[], metavar="K=V", help="a variable; K alone takes this shell's value")
    parser.add_argument("--cpu", default=None, help="processors of each node, like 2 or 500m")
    parser.add_argument("--memory", default=None, help="memory of each node, like 4Gi")
    parser.add_argument("--gpus", type=_number, default=None, metavar="N", help="GPUs of each node")
    parser.add_argument("--packages", action="append", default=[], metavar="LIST", help='more packages, like "rich, httpx>=0.27"')
    parser.add_argument("--workspace", default="", metavar="DIR", help="a folder that travels whole, and is the working directory")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="what of it stays (as in .gitignore)")
    parser.add_argument("--include", action="append", default=[], metavar="GLOB", help="what of it travels although ignored")
    parser.add_argument("--checkpoint", metavar="WHERE", help="where it is kept: true (a new claim), CLAIM, or pvc://CLAIM/PATH")
    parser.add_argument("--max-restarts", type=_number, metavar="N", help="how often it is started anew after a failure")
    parser.add_argument("--min-nodes", type=_some, metavar="N", help="elastic: train with this many nodes, if there is no more room,")
    parser.add_argument("--max-nodes", type=_some, metavar="N", help="and with this many at most")
    parser.add_argument("--ttl", type=_number, metavar="SECONDS", help="delete the job so long after its end")
    parser.add_argument("--priority", metavar="CLASS", help="a PriorityClass for its pods")
    parser.add_argument("--annotation", action="append", default=[], metavar="K=V", help="an annotation of the TrainJob")
    parser.add_argument("-d", "--detach", action="store_true", help="submit only; do not follow the job")
    parser.add_argument("-f", "--follow", action="store_true", help="follow the job, which is the default")
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and submit nothing")
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="", help="the same, as yaml or json")


async def run(cluster: Cluster, args: argparse.Namespace) -> int:
    """Submit, and unless told otherwise follow: the exit status is the job's."""
    code = _code(args)
    runtime = await _runtime(cluster, args, code.imports)
    submission.check_name(args.job)
    name = args.job or f"{submission.job_name(code.script)}-{_suffix()}"
    sent = _parcel(code.files, name, cluster.namespace, runtime)
    command = submission.program(runtime, code.script, module=args.module, args=args.script_args, shipped=sent is not None)
    job = submission.trainjob(args, runtime, name, cluster.namespace, command, sent)
    if args.dry_run or args.output:
        items = [*(sent.config_maps if sent else ()), job]
        say(render(job if len(items) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}, args.output or "yaml"))
        return 0
    await submit(cluster, job, sent)
    size = f" with {len(code.files):,} file{'s' if len(code.files) != 1 else ''}" if sent else ""
    say(f"trainjob.{TRAIN_JOBS.group}/{name} created on {objects.name(runtime)}{size}", to=sys.stderr)
    if args.detach:
        say(_later(name, args), to=sys.stderr)
        return 0
    return await _follow(cluster, name, prefixed=_pods(job, runtime) > 1, root=_nearby(args), later=_later(name, args))


async def submit(cluster: Cluster, job: Obj, sent: Parcel | None) -> Obj:
    """The files, then the job, then whose files they are: a job never waits for files, and those of a job that is refused are removed."""
    written: list[Obj] = []
    try:
        for config_map in sent.config_maps if sent else ():
            await _write(cluster, config_map, objects.name(job))
            written.append(config_map)
        created = await cluster.client.create(TRAIN_JOBS, job)
    except (CliError, errors.StatusError) as error:
        for config_map in written:
            await cluster.client.delete(CONFIG_MAPS, objects.name(config_map), cluster.namespace, missing_ok=True)
        if isinstance(error, errors.StatusError) and errors.is_already_exists(error):
            raise _there_is_one(objects.name(job)) from error
        raise
    await adoption.adopt(cluster.client, created)
    return created


async def _write(cluster: Cluster, config_map: Obj, job: str) -> None:
    try:
        await cluster.client.create(CONFIG_MAPS, config_map)
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            raise
        await _replace(cluster, config_map, job)


async def _replace(cluster: Cluster, config_map: Obj, job: str) -> None:
    """Files of an earlier job of this name may still be there, to be removed with it at any moment."""
    if await cluster.client.get_or_none(TRAIN_JOBS, job, cluster.namespace) is not None:
        raise _there_is_one(job)
    await cluster.client.delete(CONFIG_MAPS, objects.name(config_map), cluster.namespace, missing_ok=True)
    await cluster.client.create(CONFIG_MAPS, config_map)


def _there_is_one(job: str) -> CliError:
    return CliError(f'there is a job "{job}" already', hint=f"another --name, or: lightship train delete {job}")


async def _follow(cluster: Cluster, name: str, *, prefixed: bool, root: Path, later: str) -> int:
    clock = SystemClock()
    began = clock.monotonic()
    follower = Follower(cluster, name, clock, prefixed=prefixed)
    try:
        job, pods, tail = await follower.follow()
    except asyncio.CancelledError:
        say(f"\nDetached: {name} goes on. {later}", to=sys.stderr)  # behind the ^C of the terminal
        raise
    status = exit_status(job, pods)
    say(f"{'✗' if status else '✓'} {name} {ending(job)}  {seconds(clock.monotonic() - began)}", to=sys.stderr)
    if status and (cause := follower.cause or failure(pods)):
        say(f"  {cause}", to=sys.stderr)
    if status and (why := _explained(tail, root)):
        say(f"  {why}", to=sys.stderr)
    return status


def _explained(log: str, root: Path) -> str:
    return explain(log, {path.stem for path in root.glob("*.py")}, lambda path: (root / path).exists())


def _later(name: str, args: argparse.Namespace) -> str:
    """What to type another time, with as much of where the job is as was said this time."""
    said = {"-n": args.namespace, "--kubeconfig": args.kubeconfig, "--context": args.context, "--name": args.name}
    where = [word for option, value in said.items() if value and (option, value) != ("--name", "default") for word in (option, value)]
    job = shlex.join([name, *where])
    return f"`{program()} train logs -f {job}` follows it, `{program()} train delete {job}` ends it."


def _code(args: argparse.Namespace) -> Code:
    try:
        return _module(args) if args.module else _script(args)
    except ShippingError as error:
        raise CliError(str(error), hint=error.hint) from error


def _script(args: argparse.Namespace) -> Code:
    path = Path(args.script)
    root = _absolute(Path(args.workspace) if args.workspace else path.parent)
    if args.workspace and not path.is_file() and (root / path).is_file():
        path = root / path
    if not path.is_file():
        raise CliError(f"there is no file {args.script}", hint="lightship train SCRIPT; lightship train --help lists the verbs", code=2)
    path = _absolute(path)
    if not path.is_relative_to(root):
        raise CliError(f"{args.script} is not in {args.workspace}, so it would not travel", hint="--workspace names a folder above it")
    python = path.suffix == ".py"
    alone = imports.of_script if python else _itself
    files = _whole(root, args) if args.workspace else alone(path)
    return Code(path.relative_to(root).as_posix(), files, imports.imported(path) if python else set())


def _absolute(path: Path) -> Path:
    """Without `..`, so that paths can be compared; links stay what they are."""
    return Path(os.path.normpath(path.absolute()))


def _itself(path: Path) -> list[folder.File]:
    return folder.of_files(path.parent, [path])


def _module(args: argparse.Namespace) -> Code:
    root = _absolute(Path(args.workspace or "."))
    files = _whole(root, args) if args.workspace else imports.of_module(root, args.script)
    sources = [file.path for file in files if file.path.suffix == ".py"]
    return Code(args.script, files, {word for source in sources for word in imports.imported(source)})


def _whole(root: Path, args: argparse.Namespace) -> list[folder.File]:
    found = folder.find(root, exclude=args.exclude, include=args.include)
    for left_out in found.left_out:
        say(f"left out: {left_out}", to=sys.stderr)
    return found.files


def _parcel(files: list[folder.File], name: str, namespace: str, runtime: Obj) -> Parcel | None:
    try:
        return parcel(folder.pack(files), name, namespace, submission.step_jobs(runtime)) if files else None
    except ShippingError as error:
        raise CliError(str(error), hint=error.hint) from error


async def _runtime(cluster: Cluster, args: argparse.Namespace, imported: Iterable[str]) -> Obj:
    framework = args.framework or ("" if args.runtime else submission.guess_framework(imported))
    found = [*await listed(cluster, TRAINING_RUNTIMES, cluster.namespace), *await listed(cluster, CLUSTER_TRAINING_RUNTIMES, "")]
    return submission.choose_runtime(found, name=args.runtime, framework=framework)


def _pods(job: Obj, runtime: Obj) -> int:
    """How many pods the job will have."""
    planned = plan.make(job, runtime)
    planned.take_nodes()
    return sum(pods.count for pods in planned.pod_sets)


def _nearby(args: argparse.Namespace) -> Path:
    """Where the script is: what is there the user may think had travelled."""
    return Path(args.workspace or ".") if args.module or args.workspace else Path(args.script).parent


def _number(word: str) -> int:
    try:
        number = int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word} is no number") from None
    if number < 0:
        raise argparse.ArgumentTypeError(f"{word} is less than nothing")
    return number


def _some(word: str) -> int:
    """The API takes no nodes, too, and such a job is complete before anything has run."""
    if not (number := _number(word)):
        raise argparse.ArgumentTypeError("with 0 of them nothing would run")
    return number


def _suffix() -> str:
    return "".join(random.SystemRandom().choices(string.ascii_lowercase + string.digits, k=_SUFFIX))
