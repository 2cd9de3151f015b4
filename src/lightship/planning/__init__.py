"""Plan: what a manifest would come to on a cluster, said before anything is written there.

`command` asks and `page` prints, `live` reads the cluster, `trial` has the controllers make of the manifest what they make of it, on a
platform in memory, `fitting` asks the scheduler's core for places, `waits` and `costs` judge what came of it. Above `main`, since it needs
many rooms.
"""
