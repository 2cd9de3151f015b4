"""`lightship demo`: from nothing to a trained model, through the official Kubeflow SDK, in front of the user's eyes.

Starts the platform when it does not run, submits one TrainJob of two nodes on the `torch-distributed` runtime, follows its log, checks the
held-out accuracy, and says where the model is and how to look further. It is a client like any other: everything here can be typed by a
user, and `examples/` shows how. The model goes to a PersistentVolumeClaim, so it outlives the pods.
"""

import argparse
import os
import sys
from typing import Any

from lightship.cli.command import add_instance_options, program
from lightship.cli.output import say
from lightship.cli.progress import Step, seconds
from lightship.main import up
from lightship.main.instance import Instance, Running

from . import job

GOAL = 97.0
"""Held-out accuracy in percent that the demo must exceed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_instance_options(parser)
    parser.add_argument("--nodes", type=int, default=2, help="how many nodes train together (default: 2)")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training data (default: 12)")


def run(args: argparse.Namespace) -> int:
    instance = Instance(args.name, args.data_dir)
    job.check_sdk()
    steps: list[Step] = []

    def timed(title: str) -> Step:
        steps.append(Step(title))
        return steps[-1]

    with timed("start the platform") as step:
        running, fresh = up.ensure(instance)
        step.update(note=running.api + ("" if fresh else " (was running)"))
    with timed("load the Kubeflow SDK"):
        sdk = job.load_sdk()
    os.environ["KUBECONFIG"] = running.kubeconfig
    demo = job.Job(sdk, running)
    with timed("submit the training job"):
        demo.submit(nodes=args.nodes, epochs=args.epochs)
    with timed(f"launch {args.nodes} nodes") as step:
        demo.wait_running(step)
    with timed("train") as step:
        demo.follow(step)
    result = demo.result()
    _report(demo.name, result, steps, running)
    return 0


def _report(name: str, result: dict[str, Any], steps: list[Step], running: Running) -> None:
    accuracy = float(result["accuracy"])
    if accuracy <= 1:
        accuracy *= 100
    total = sum(step.took for step in steps)
    say()
    width = max(len(step.title) for step in steps)
    for step in steps:
        say(f"  {step.title:<{width}}  {seconds(step.took):>10}")
    say(f"  {'in all':<{width}}  {seconds(total):>10}")
    say()
    say(f"Held-out accuracy: {accuracy:.1f} %")
    say(f"Model: {result['model']}")
    say()
    say("Look further:")
    say(f"  export KUBECONFIG={running.kubeconfig}")
    say(f"  {program()} get trainjobs,jobsets,jobs,pods   # or kubectl, the same words")
    say(f"  {program()} train logs {name}")
    say(f"  {program()} down                              # the data stays; a second demo starts faster")
    if accuracy <= GOAL:
        print(f"lightship: accuracy {accuracy:.1f} % is not above {GOAL:.0f} %", file=sys.stderr)
        raise SystemExit(1)
