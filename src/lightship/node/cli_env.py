"""`lightship env`: the environments that images were turned into: what they are, who uses them, making and removing them.

Works on the cache of this user (LIGHTSHIP_CACHE), which all platforms share, with or without one running. What a running platform uses is
never removed: it holds a lease.
"""

import argparse
import asyncio
import re
from collections.abc import Iterable

import msgspec

from lightship.aio.clock import SystemClock
from lightship.cli.command import add_format_option, add_instance_options
from lightship.cli.errors import CliError
from lightship.cli.output import render, say, table
from lightship.meta import quantity, times

from .cli import table_file
from .images import keeper
from .images.catalogue import Catalogue, ImageError
from .images.environments import Environments, cache_directory
from .images.store import InUseError, Store, Stored
from .runtimes import templates

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB")
    listed = verbs.add_parser("list", help="show what there is (the default)")
    listed.set_defaults(verb="list")
    add_format_option(listed, ("json", "yaml"))
    built = verbs.add_parser("build", help="make the environment of an image now, so that no pod waits for it")
    built.add_argument("image")
    built.add_argument("--requirements", default="", help="packages besides the image's, as a pod's annotation has them")
    built.set_defaults(verb="build")
    add_instance_options(built)
    removed = verbs.add_parser("remove", help="delete environments; images that need one build it again")
    removed.add_argument("environments", nargs="+", metavar="NAME")
    removed.set_defaults(verb="remove")
    pruned = verbs.add_parser("prune", help="delete what no running platform uses, the least recently used first")
    pruned.add_argument("--unused-for", default="0s", metavar="AGE", help="only what was not used for so long, like 12h or 7d")
    pruned.add_argument("--to-size", metavar="SIZE", help="only until no more than this is left, like 10Gi")
    pruned.add_argument("--all", action="store_true", help="also images that were loaded from a file, which cannot be made again")
    pruned.set_defaults(verb="prune")
    parser.set_defaults(verb="list", name="default", data_dir=None, output=None)


def run(args: argparse.Namespace) -> int:
    environments = Environments(cache_directory(), SystemClock())
    try:
        return asyncio.run(_run(args, environments))
    except OSError as error:
        raise CliError(
            f"{error.filename or cache_directory()}: {error.strerror or error}", hint="LIGHTSHIP_CACHE names the place"
        ) from error
    finally:
        environments.store.close()


async def _run(args: argparse.Namespace, environments: Environments) -> int:
    store = environments.store
    if args.verb == "build":
        return await _build(args, environments)
    if args.verb == "remove":
        return await _remove(store, args.environments)
    if args.verb == "prune":
        return await _prune(store, args)
    return _list(store.listed(), args.output)


def _list(found: list[Stored], format: str | None) -> int:
    if format:
        say(render([_facts(s) for s in found], format))
    elif not found:
        say(f"No environments in {cache_directory()}; pods make them, or `lightship env build IMAGE`")
    else:
        now = SystemClock().now()
        rows = [
            (
                s.name,
                _few(s.record.packages),
                _few(s.record.images),
                _size(s.record.size),
                times.age(now - s.last_used),
                "; ".join(s.used_by),
                _size(held) if (held := _template(s)) else "",
            )
            for s in found
        ]
        say(table(("name", "packages", "images", "size", "last used", "used by", "template"), rows))
    return 0


def _few(names: list[str]) -> str:
    more = [f"and {len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*names[:3], *more]) or "<none>"


def _facts(stored: Stored) -> dict[str, object]:
    return {
        "name": stored.name,
        "packages": stored.record.packages,
        "images": stored.record.images,
        "sizeBytes": stored.record.size,
        "builtAt": times.rfc3339(stored.record.built) if stored.record.built else None,
        "lastUsedAt": times.rfc3339(stored.last_used),
        "usedBy": stored.used_by,
        "templateBytes": _template(stored),
    }


def _template(stored: Stored) -> int:
    """Bytes of memory that its interpreter holds to be forked from."""
    return templates.running(str(cache_directory() / "environments" / stored.name / "bin" / "python"))


async def _build(args: argparse.Namespace, environments: Environments) -> int:
    catalogue = Catalogue(table_file(args.name, args.data_dir), environments)
    try:
        made = await catalogue.resolve(args.image, say, args.requirements.replace("\\n", "\n"))
    except ImageError as error:
        raise CliError(str(error)) from error
    say(f"{args.image} means {made.name}")
    return 0


async def _remove(store: Store, names: Iterable[str]) -> int:
    known = {s.name for s in store.listed()}
    for name in names:
        if name not in known:
            raise CliError(f'there is no environment "{name}"', hint="`lightship env` shows what there is")
        try:
            freed = await store.remove(name)
        except InUseError as error:
            raise CliError(str(error), hint="delete the pods that use it, or `lightship down`") from error
        except KeyError as error:
            raise CliError(f"{name} was removed by somebody else at the same moment") from error
        say(f"{name} removed, {_size(freed)} freed")
    return 0


async def _prune(store: Store, args: argparse.Namespace) -> int:
    age, left = _seconds(args.unused_for), _bytes(args.to_size) if args.to_size else 0
    store.sweep()
    found, freed, removed = store.listed(), 0, 0
    total = sum(s.record.size for s in found)
    if args.all:
        found = [s._replace(record=msgspec.structs.replace(s.record, kept=False)) for s in found]
    for stored in keeper.removable(found, SystemClock().now(), age):
        if args.to_size and total - freed <= left:
            break
        try:
            freed += await store.remove(stored.name)
        except (InUseError, KeyError):
            continue  # since we looked
        removed += 1
    kept = len(found) - removed
    say(f"{removed} removed, {_size(freed)} freed; {kept} {'is' if kept == 1 else 'are'} left")
    return 0


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise CliError(f'--unused-for "{text}" is no age', hint="--unused-for 7d, 12h, 30m or 90s", code=2)
    return float(match[1]) * _UNITS[match[2]]


def _bytes(text: str) -> int:
    try:
        return quantity.to_int(text)
    except ValueError as error:
        raise CliError(f'--to-size "{text}" is no size', hint="--to-size 10Gi", code=2) from error


def _size(count: int) -> str:
    for unit, shown in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {shown}"
    return f"{count} B"
