"""The kit of the command line: commands, tables, formats, progress, errors. It knows no capability.

`main.commands` lists the verbs; each verb is one module with `arguments(parser)` and `run(args)`. Capabilities bring theirs in their own
`cli.py`. Importing this room must stay cheap: `lightship --help` has 0.15 s of CPU in all.
"""
