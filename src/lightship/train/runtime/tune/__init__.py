"""`tune`: fine-tunes a causal language model as torchtune's command line says it, with TRL and PEFT.

The SDK's BuiltinTrainer sends `tune run` with a recipe, a configuration and overrides. `command` and `options` understand them, on the
standard library alone, so that a mistake is told before anything is loaded; `launch` becomes the node's one rank, or torchrun for several.
In each `rank`, `fitting` trains: with examples that `data` has read, and the layers that `adapters` finds for LoRA.
"""
