"""Pods in containers of podman or Docker, by the Docker Engine API over a unix socket: see README.md."""
