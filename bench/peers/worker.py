# SPDX-License-Identifier: MIT
"""A benchmark process that is warm and waits: several take turns on one machine.

The process prints "ready" when it has built and warmed up. Each line to its standard input, a count
of steps, is answered by one line of JSON with "ms", the milliseconds of each step. An error is the
last line of its log.
"""
import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

OUT_OF_TIME = "not run: out of time"


class Parser(argparse.ArgumentParser):
    """Reports an error of the command line in one line, as the project's programs do."""

    def error(self, message):
        print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
        sys.exit(2)


class Failed(Exception):
    pass


def last_line(path):
    lines = [line for line in Path(path).read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it said nothing"


class Worker:
    def __init__(self, command, log, env=None):
        self.log = log
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=open(log, "w"), text=True, env=env)
        except OSError as error:
            raise Failed(str(error)) from None
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, deadline):
        try:
            line = self.lines.get(timeout=max(1, deadline - time.monotonic()))
        except queue.Empty:
            raise Failed(OUT_OF_TIME) from None
        if line is None:
            raise Failed(last_line(self.log))
        return line

    def wait_ready(self, deadline):
        while self.line(deadline).strip() != "ready":
            pass

    def measure(self, deadline, count=""):
        """The answer to one request; without a count the process takes its own number of steps."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except OSError:
            raise Failed(last_line(self.log)) from None
        line = self.line(deadline)
        try:
            return json.loads(line)
        except ValueError:
            raise Failed(f"not the JSON that was expected: {line[:120]!r}") from None

    def stop(self):
        self.process.kill()
        self.process.wait()

    # What Linux says about the process.

    def cpu_seconds(self):
        """CPU time of all its threads so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        """Peak resident memory since the start, or since forget_peak; None if it is not known."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return None

    def forget_peak(self):
        try:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5\n")
        except OSError:
            pass  # then the peak is that of the whole life
