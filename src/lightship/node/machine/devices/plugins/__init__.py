"""Programs of others that give devices: found by their sockets, spoken to in gRPC. `registry` and `counted` are what `desk` asks."""
