"""ralnode: machines on a LAN pool their spare disk as IPFS blocks. See ARCHITECTURE.md."""

__version__ = "0.1.0"
