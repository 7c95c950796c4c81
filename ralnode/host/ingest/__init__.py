"""Adding content to this node: from a local path (kept or by reference) or from a client's upload. See ingest.py.

Only the values are named here: the command line uses them, and need not wait for the rest of the node to be imported.
"""

from ralnode.host.ingest.model import Added, AddOptions, Progress, UploadEntry, UploadFile

__all__ = ["AddOptions", "Added", "Progress", "UploadEntry", "UploadFile"]
