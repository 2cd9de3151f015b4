"""The forked helper of the sandbox runtime: everything that runs on the far side of the namespaces.

Standard library only, and little of it: `runtimes.sandbox` starts this folder by path in an isolated interpreter (`-I -S`), so that a pod
is a fork of ten megabytes and not of a control plane. Nothing here may import `lightship`; modules import each other relatively.
"""
