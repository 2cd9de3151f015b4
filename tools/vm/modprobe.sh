#!/bin/sh
# The kernel asks for a module that this host does not have: it lies with the kernel in the cache.
. /mnt/settings
exec /sbin/modprobe -d "$MODULES" -C /mnt/modprobe.d "$@"
