"""Checkpoints that survive: for programs in pods of a TrainJob with `lightship.dev/checkpoint`, and anywhere else with a directory.

`pytorch` saves and resumes plain loops (DDP, and FSDP by torch's distributed checkpoints), `jax` trees of arrays, `huggingface` helps its
Trainer. All keep folders as `files` says: whole or not there, the last few of them. Standard library only, but for what a name says.
"""

from .files import VARIABLE, Folder, directory

__all__ = ["VARIABLE", "Folder", "directory"]
