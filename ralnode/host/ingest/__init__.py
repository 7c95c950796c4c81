"""Adding content to this node: from a local path (kept or by reference) or from a client's upload. See ingest.py."""

from ralnode.host.ingest.ingest import Ingest
from ralnode.host.ingest.model import Added, AddOptions, Progress, UploadEntry, UploadFile

__all__ = ["AddOptions", "Added", "Ingest", "Progress", "UploadEntry", "UploadFile"]
