"""Blocks in this node's store that no source names: what adds, pulls and imports that broke off have left.

unfinished.py reads the notes that they have left; sweep.py passes the store over the sources; job.py counts and deletes,
out of the way of whatever relies on blocks of no source; watch.py looks now and then whether they take notable room.
"""

from ralnode.host.leftovers.job import LeftoversJob, LeftoversParts, LeftoversState
from ralnode.host.leftovers.watch import LeftoversWatch

__all__ = ["LeftoversJob", "LeftoversParts", "LeftoversState", "LeftoversWatch"]
