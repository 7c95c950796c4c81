"""Makes the pictures that the README shows; see `packaging/screenshots`, which calls this."""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from ralnode.api import RalnodeError
from ralnode.cli.demo.processes import DemoCluster, DemoNode, free_ports
from ralnode.host.joincode import JoinCode

MB = 1_000_000
# name, zone, capacity, disk, other data on it (MB)
HOUSE = (
    ("attic", "house", 170, 230, 24),
    ("cellar", "house", 120, 200, 52),
    ("desk", "house", 90, 180, 70),
    ("garage", "garage", 150, 190, 8),
    ("garden-pi", "garage", 64, 100, 16),
    ("nas", "house", 200, 260, 30),
)
FILES = (
    ("Photos 2025.tar", 26), ("Holiday in Norway.mp4", 41), ("laptop-backup.img", 33), ("Music.tar", 18),
    ("letters and scans.zip", 6), ("wedding.mp4", 22),
)  # fmt: skip
CONFIG = """\
[node]
name = "{name}"
zone = "{zone}"
group = "home"
data_dir = "{data}"
{sources}capacity = "{capacity} MB"
disk_floor = "4 MiB"
listen_host = "127.0.0.1"
transport_port = {transport}
gossip_port = {gossip}
page_port = {page}
known_peers = [{peers}]
join_code = "{code}"
repair_grace = "40s"
repair_grace_last_copy = "25s"
[use]
gateway = []
discovery = ["static"]
"""
BYTES_MAX = 150_000


class House(DemoCluster):
    """Six machines with zones; with `disks` each on a small disk of its own."""

    def furnish(self, *, disks: bool) -> None:
        self.seeded.mkdir()
        ports, code = free_ports(len(HOUSE)), JoinCode(secrets.token_bytes(32)).encode()
        for (name, zone, capacity, disk, other), port in zip(HOUSE, ports, strict=True):
            node = DemoNode(name, self.folder / name, capacity * MB, port)
            data = self.folder / f"disk-{name}"
            data.mkdir()
            if disks:
                mount = ["mount", "-t", "tmpfs", "-o", f"size={disk * MB}", "tmpfs", str(data)]
                subprocess.run(mount, check=True)
                (data / "other data").write_bytes(bytes(other * MB))
            self.nodes.append(node)
            is_seeder = len(self.nodes) == 1
            node.start(
                CONFIG.format(
                    name=name, zone=zone, data=data / "ralnode", capacity=capacity, code=code,
                    transport=port.transport, gossip=port.gossip, page=port.page,
                    sources=f'sources_dir = "{self.seeded}"\n' if is_seeder else "",
                    peers="" if is_seeder else f'"127.0.0.1:{self.seeder.ports.transport}"',
                )
            )  # fmt: skip

    def clear(self) -> None:
        """Unmounts the small disks; the folder is removed afterwards."""
        for node in self.nodes:
            node.ask_to_stop()
        for node in self.nodes:
            node.await_stop()
            subprocess.run(["umount", str(self.folder / f"disk-{node.name}")], check=False, stderr=subprocess.DEVNULL)

    def status(self) -> dict[str, Any]:
        """Nothing in it while the node does not answer."""
        try:
            return dict(self.seeder.client.command("status"))
        except RalnodeError:
            return {"nodes": [], "health": ""}


def until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.2)


def sit_for(house: House, folder: Path) -> None:
    (house.folder / "made").mkdir()
    for number, (name, megabytes) in enumerate(FILES):
        (house.files / name).write_bytes(random.Random(number).randbytes(megabytes * MB))
    until(lambda: len(house.status()["nodes"]) == len(HOUSE), "six nodes")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        password = {"action": "password", "role": "admin", "password": secrets.token_hex(16)}
        house.seeder.client.command("page", password)  # else the page says that it has none
        page.goto(house.seeder.client.command("page", {"action": "link"})["link"])
        page.click("main button")
        page.wait_for_url(lambda address: "/sign-in" not in address)
        state = context.storage_state()

        def look(name: str, wait: float, last: str, **options: Any) -> None:
            place = browser.new_context(storage_state=state, **options)
            view = place.new_page()
            view.goto(f"http://127.0.0.1:{house.seeder.ports.page}/dashboard")
            time.sleep(wait)
            bottom = view.locator(last).first.bounding_box()
            clip = {
                "x": 0,
                "y": 0,
                "width": options["viewport"]["width"],
                "height": bottom["y"] + bottom["height"] + 16,
            }
            view.screenshot(path=folder / f"{name}.png", clip=clip, full_page=True)
            place.close()
            shrink(folder / f"{name}.png")

        house.seed()
        desk = {"width": 1180, "height": 1560}
        time.sleep(4)
        until(lambda: house.status()["health"] == "healthy", "two copies of everything")
        look("light", 20, ".source", viewport=desk)
        look(
            "phone",
            3,
            ".node:nth-of-type(4)",
            viewport={"width": 390, "height": 1100},
            is_mobile=True,
            device_scale_factor=1.5,
        )
        house.nodes[3].kill()
        until(lambda: any(n["liveness"] == "dead" for n in house.status()["nodes"]), "a node that is away")
        look("dark", 6, ".source", viewport=desk, color_scheme="dark")
        browser.close()


def shrink(path: Path) -> None:
    """Few colours are enough for a page: a palette of 256 makes a picture a third as large."""
    width, height, pixels = read_png(path)
    colours, where, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    kept = colours[np.argsort(counts)[::-1][:256]]
    nearest = np.empty(len(colours), dtype=np.uint8)
    for start in range(0, len(colours), 4096):
        part = colours[start : start + 4096].astype(np.int32)
        distance = ((part[:, None, :] - kept[None, :, :].astype(np.int32)) ** 2).sum(axis=2)
        nearest[start : start + 4096] = distance.argmin(axis=1)
    rows = nearest[where].reshape(height, width)
    raw = np.hstack([np.zeros((height, 1), dtype=np.uint8), rows]).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", kept.tobytes()), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks))
    size = path.stat().st_size
    print(f"{path}: {width} × {height}, {size:,} bytes")
    if size > BYTES_MAX:
        sys.exit(f"{path} is larger than {BYTES_MAX:,} bytes")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_png(path: Path) -> tuple[int, int, Any]:
    """(width, height, pixels as an array of bytes) of an 8-bit picture as Chromium writes it."""
    data, at, packed, head = path.read_bytes(), 8, b"", b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        head, packed = (body if kind == b"IHDR" else head), packed + (body if kind == b"IDAT" else b"")
        at += length + 12
    width, height, _depth, colour = struct.unpack(">IIBB", head[:10])
    channels = {2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(height, 1 + width * channels)
    made = np.zeros((height, width, channels), dtype=np.uint8)
    above = np.zeros((width, channels), dtype=np.uint8)
    for number, line in enumerate(lines):
        above = unfilter(int(line[0]), line[1:].reshape(width, channels), above)
        made[number] = above
    return width, height, made[:, :, :3]


def unfilter(kind: int, line: Any, above: Any) -> Any:
    """PNG specification, section 9.2."""
    if kind == 0:
        return line.copy()
    if kind == 1:
        return np.cumsum(line, axis=0, dtype=np.uint8)
    if kind == 2:
        return line + above
    made = np.zeros_like(line)
    left, corner = np.zeros(line.shape[1], dtype=np.int32), np.zeros(line.shape[1], dtype=np.int32)
    for place in range(len(line)):
        up = above[place].astype(np.int32)
        guess = (left + up) // 2 if kind == 3 else paeth(left, up, corner)
        left, corner = (line[place] + guess) & 255, up
        made[place] = left
    return made


def paeth(left: Any, up: Any, corner: Any) -> Any:
    sum_ = left + up - corner
    by_left, by_up, by_corner = abs(sum_ - left), abs(sum_ - up), abs(sum_ - corner)
    return np.where((by_left <= by_up) & (by_left <= by_corner), left, np.where(by_up <= by_corner, up, corner))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "pictures")
    parser.add_argument("--disks", action="store_true", help="mount a small disk for each node")
    arguments = parser.parse_args()
    if shutil.which("chromium") is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with House(None) as house:
        try:
            house.furnish(disks=arguments.disks)
            sit_for(house, arguments.folder)
        finally:
            house.clear()


if __name__ == "__main__":
    main()
