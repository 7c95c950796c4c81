"""A LAN of real processes on one machine: network namespaces joined by a switch in user space whose cables can be pulled, frames
lost and delayed. `packaging/testbed` plays with it, tests/net and tests/cluster test on it. Linux; root, or unprivileged user
namespaces. Nothing of ralnode itself is imported here: nodes are programs that are started.
"""
