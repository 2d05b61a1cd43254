"""A TensorBoard that is really started, on loopback, and read as its page reads it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE_S = 120


class TensorBoard:
    """The data endpoints of a server.

    Attributes:
        url: of its page.
    """

    def __init__(self, url):
        self.url = url

    def get(self, path, **query):
        """What an endpoint below /data answers, as JSON."""
        return json.loads(self.raw(path, **query))

    def raw(self, path, **query) -> bytes:
        """What an endpoint below /data answers."""
        words = f"?{urllib.parse.urlencode(query)}" if query else ""
        with urllib.request.urlopen(f"{self.url}data/{path}{words}", timeout=PATIENCE_S) as answer:
            return answer.read()

    def post(self, path, content):
        """What an endpoint below /data answers to a JSON object."""
        body = json.dumps(content).encode()
        request = urllib.request.Request(
            f"{self.url}data/{path}", body, {"Content-Type": "application/json", "X-TensorBoard-Feature": "1"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())

    def points(self, run, tag):
        """Steps and values of a scalar."""
        found = self.get("plugin/scalars/scalars", run=run, tag=tag)
        return {step: value for _, step, value in found}


@contextlib.contextmanager
def tensorboard(logdir, log, *, runs):
    """A server of a folder, once it has read so many runs; it prints into `log`."""
    argv = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(logdir),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    with log.open("w", encoding="utf-8") as stream:
        # A group of its own: the server has a child that reads the files.
        process = subprocess.Popen(argv, stdout=stream, stderr=stream, start_new_session=True)
    try:
        url = _await(
            process, log, lambda: re.search(r"http://127\.0\.0\.1:\d+/", log.read_text(encoding="utf-8"))
        )[0]
        server = TensorBoard(url)
        _await(process, log, lambda: len(server.get("runs")) >= runs)
        yield server
    finally:
        # It only reads: there is nothing to finish.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(process, log, condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if found := condition():
                return found
        time.sleep(0.2)
    raise AssertionError(f"TensorBoard is not ready: {log.read_text(encoding='utf-8')}")
