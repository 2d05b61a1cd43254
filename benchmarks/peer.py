"""Programs of another environment as processes that stay: one JSON line asks, one answers.

Between two questions a peer waits for its input and takes no time from the others.
"""

import json
import subprocess
import sys
import time
from pathlib import Path


class Peer:
    """A program beside this file, run by another Python, so that its start is counted nowhere."""

    def __init__(self, python, program, **pipes):
        command = [python, "-W", "ignore", str(Path(__file__).with_name(program))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **pipes}
        self.process = subprocess.Popen(command, text=True, **pipes)

    def ask(self, **job):
        """What it answers to a job.

        Raises:
            RuntimeError: it has ended; what it wrote about that is above.
        """
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"{' '.join(self.process.args)} ended with code {self.process.wait()} while it was asked "
                f"{job}; what it had to say is above. A system that lacks memory ends programs with code -9."
            )
        return json.loads(answer)

    def end(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()


class Clock:
    """Seconds since it was made: of the wall, and of this process on all cores together."""

    def __init__(self):
        self._begun = time.perf_counter(), time.process_time()

    def read(self):
        """The cores' seconds hardly depend on what else the machine does; those of the wall do."""
        return {
            "seconds": time.perf_counter() - self._begun[0],
            "cpu_seconds": time.process_time() - self._begun[1],
        }


def serve(functions):
    """The other end: answer each line {"do": name, ...} with what functions[name](...) returns."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print what they like, but not here
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(functions[job.pop("do")](**job)), file=answers, flush=True)
