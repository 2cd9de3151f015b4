"""`python -m lightship.train.runtime.tune` is `tune`."""

from .launch import main

main()
