"""The life of a node as a process: READY, signals, exit codes, order of closing. Every role is a fake that can be told to
fail; what the real ones do is tested elsewhere."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FAKES = Path(__file__).with_name("ralnode_t_fakes.py")
USE = '[use]\ndiscovery = ["fake"]\ngateway = ["fake"]\nui = ["fake"]\n'
START_SECONDS = 100
STOP_SECONDS = 8.0
SLACK_SECONDS = 20.0
"""Two cores may be busy with other tests."""
TOO_SLOW = "could not close everything within 8 s"


class Lab:
    """A machine with one drop-in directory, a configuration file and a systemd that listens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.plugins = path / "plugins"
        self.plugins.mkdir(mode=0o755)
        shutil.copy(FAKES, self.plugins)
        (self.plugins / FAKES.name).chmod(0o644)
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(path / "notify"))
        self.processes: list[subprocess.Popen[str]] = []
        self.config: dict[str, dict[str, Any]] = {}

    def start(self, config: str = USE, *, data: Path | None = None, **environ: str) -> subprocess.Popen[str]:
        tables = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for name, t in self.config.items()
        ]
        node = '[node]\nlisten_host = "127.0.0.1"\ngossip_port = 0\ncapacity = "1 GB"\nname = "lab"\n'
        (self.path / "ralnode.toml").write_text(node + config + "".join(tables))
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "RALNODE_CONFIG": str(self.path / "ralnode.toml"),
            "RALNODE_DATA_DIR": str(data or self.data),
            "RALNODE_SOCKET": str(self.path / "s"),
            "RALNODE_PLUGINS": "t_fakes",
            "RALNODE_PLUGINS_DIR": str(self.plugins),
            "NOTIFY_SOCKET": str(self.path / "notify"),
            **environ,
        }
        # Who runs the tests under nohup must not hand that on.
        command = ["env", "--default-signal=HUP", sys.executable, "-m", "ralnode", "run"]
        process = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        return process

    def until(self, message: str) -> list[str]:
        """What systemd hears up to and with this message."""
        heard: list[str] = []
        deadline = time.monotonic() + START_SECONDS
        while message not in heard:
            if select.select([self.systemd], [], [], 0.05)[0]:
                heard.append(self.systemd.recv(4096).decode())
            elif self.processes[-1].poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {message}, only {heard[-5:]}; {self.close()}")
        return heard

    def heard(self) -> list[str]:
        found = []
        while select.select([self.systemd], [], [], 0)[0]:
            found.append(self.systemd.recv(4096).decode())
        return found

    def close(self) -> list[str]:
        """What those that still had something to say have said."""
        said = []
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            if process.stdout is not None and not process.stdout.closed:
                said.append(process.communicate()[0])
        self.systemd.close()
        return said


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


def end(process: subprocess.Popen[str], seconds: float = START_SECONDS) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def stop(process: subprocess.Popen[str], *signals: signal.Signals) -> tuple[int, str, float]:
    began = time.monotonic()
    for each in signals or (signal.SIGTERM,):
        process.send_signal(each)
    code, output = end(process)
    return code, output, time.monotonic() - began


# --- the normal life --------------------------------------------------------------------------------------------------


def test_a_node_is_ready_stops_on_sigterm_and_closes_in_reverse(lab: Lab) -> None:
    process = lab.start()
    lab.until("READY=1")
    code, output, seconds = stop(process)
    assert code == 0, output
    assert seconds < STOP_SECONDS + SLACK_SECONDS and TOO_SLOW not in output
    assert lab.until("STOPPING=1")
    lines = [line for line in output.splitlines() if line.endswith(("starts", "stops", "closes"))]
    assert lines[0] == "transport starts"
    assert set(lines[1:4]) == {"gateway starts", "ui starts", "discovery starts"}
    assert set(lines[4:7]) == {"discovery stops", "gateway stops", "ui stops"}
    assert lines[7:] == ["transport stops", "storage closes"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_ctrl_c_and_a_closed_terminal_stop_it_cleanly_too(lab: Lab, name: str) -> None:
    process = lab.start()
    lab.until("READY=1")
    assert stop(process, signal.Signals[name])[0] == 0


def test_further_signals_are_harmless(lab: Lab) -> None:
    lab.config = {"ui.fake": {"hang": "stop"}}  # so that closing takes a moment
    process = lab.start()
    lab.until("READY=1")
    process.send_signal(signal.SIGTERM)
    lab.until("STOPPING=1")
    for _ in range(20):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
    code, output = end(process, STOP_SECONDS + SLACK_SECONDS)
    assert code == 0, output
    assert "Traceback" not in output


def test_a_stop_while_the_node_starts_ends_the_start(lab: Lab) -> None:
    lab.config = {"transport.fake": {"hang": "start"}}
    process = lab.start()
    deadline = time.monotonic() + START_SECONDS
    while not (lab.data / "node.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    code, output, seconds = stop(process)
    assert (code, TOO_SLOW in output) == (0, False), output
    assert seconds < STOP_SECONDS + SLACK_SECONDS
    assert "storage closes" in output
    assert "READY=1" not in lab.heard()


def test_the_same_node_comes_back_with_its_facts(lab: Lab) -> None:
    found = []
    for _ in range(2):
        process = lab.start()
        lab.until("READY=1")
        assert stop(process)[0] == 0
        found.append(json.loads((lab.data / "node.json").read_text()))
    assert found[0]["boot_nonce"] < found[1]["boot_nonce"]
    assert found[0]["capacity_bytes"] == found[1]["capacity_bytes"] == 10**9


# --- closing in time --------------------------------------------------------------------------------------------------


def test_a_service_that_hangs_is_passed_over_and_the_store_is_closed_all_the_same(lab: Lab) -> None:
    lab.config = {"ui.fake": {"hang": "stop"}, "transport.fake": {"hang": "stop"}}
    process = lab.start()
    lab.until("READY=1")
    code, output, seconds = stop(process)
    assert code == 0, output
    assert seconds < STOP_SECONDS + SLACK_SECONDS
    assert "the ui fake did not stop within" in output
    assert "the transport did not stop within" in output
    assert "storage closes" in output


def test_a_service_that_holds_up_the_whole_event_loop_does_not_keep_the_process_alive(lab: Lab) -> None:
    lab.config = {"transport.fake": {"block": "stop"}}
    process = lab.start()
    lab.until("READY=1")
    code, output, seconds = stop(process)
    assert code == 0, output
    assert STOP_SECONDS - 0.5 < seconds < STOP_SECONDS + SLACK_SECONDS
    assert TOO_SLOW in output


def test_a_planner_that_hangs_does_not_keep_the_process_alive(lab: Lab) -> None:
    lab.config = {"planner.fake": {"hang": "plan"}}
    process = lab.start()
    lab.until("READY=1")
    time.sleep(1.5)  # the first plan is made a second after the start
    code, output, seconds = stop(process)
    assert (code, TOO_SLOW in output) == (0, False), output
    assert seconds < STOP_SECONDS + SLACK_SECONDS


# --- what ends a node -------------------------------------------------------------------------------------------------

ENDS = [
    ({"storage.fake": {"fail": "start", "error": "storage"}}, 74, "error: storage fails at start"),
    ({"storage.fake": {"fial": "start"}}, 78, "unknown key 'fial'; did you mean 'fail'"),
    ({"node ]\n[storage": {}}, 78, "cannot read the configuration"),
    ({"transport.fake": {"fail": "wait", "error": "odd"}}, 74, "transport failed: ZeroDivisionError"),
]


@pytest.mark.parametrize(("config", "code", "message"), ENDS)
def test_a_failure_becomes_one_line_and_an_exit_code(lab: Lab, config: dict[str, Any], code: int, message: str) -> None:
    lab.config = config
    found, output = end(lab.start())
    assert (found, message in output) == (code, True), output
    assert "Traceback" not in output


def test_two_nodes_do_not_share_a_data_directory(lab: Lab) -> None:
    first = lab.start()
    lab.until("READY=1")
    code, output = end(lab.start(RALNODE_SOCKET=str(lab.path / "other")))
    assert code == 69
    assert f"another ralnode (process {first.pid}) uses it" in output
    assert first.poll() is None


def test_a_taken_gossip_port_says_what_to_do(lab: Lab) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        code, output = end(lab.start(RALNODE_GOSSIP_PORT=str(taken.getsockname()[1])))
    assert code == 74
    assert "Choose another with [node] gossip_port" in output


# --- plugins ----------------------------------------------------------------------------------------------------------


def test_with_no_plugin_at_all_it_starts_says_what_it_cannot_do_and_stops_cleanly(lab: Lab) -> None:
    code, output = end(lab.start("", RALNODE_PLUGINS=""))
    assert code == 0, output
    for words in ("it cannot store or serve blocks", "it cannot talk to peers", "it has no status page"):
        assert words in output
    assert lab.heard() == ["READY=1", "STOPPING=1"]
    assert not lab.data.exists(), "nothing was changed"


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_the_watchdog_is_pinged_until_the_store_no_longer_answers(lab: Lab) -> None:
    process = lab.start(WATCHDOG_USEC="200000")
    heard = lab.until("READY=1")
    while heard.count("WATCHDOG=1") < 3:
        heard += lab.until("WATCHDOG=1")
    assert stop(process)[0] == 0
    lab.heard()
    lab.config = {"storage.fake": {"hang": "answer"}}
    lab.start(WATCHDOG_USEC="200000")
    lab.until("READY=1")
    heard = lab.until("STATUS=the block store does not answer")
    assert "WATCHDOG=1" not in heard
