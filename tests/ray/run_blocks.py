"""Run programs one after the other on a local cluster: a JSON list of texts comes in, one of outputs goes out."""

import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
import warnings

import ray
import ray.data


def run(code: str) -> str:
    """Return what a program prints, and its traceback if it fails."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, "block", "exec"), {"__name__": "__main__"})  # noqa: S102 -- our own documentation
        except Exception:
            traceback.print_exc(file=printed)
    # Ray warns of the number of its processes on a machine with few cores.
    return "".join(line for line in printed.getvalue().splitlines(keepends=True) if "(raylet)" not in line)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    blocks = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="kr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)  # before Ray starts, whose workers resolve relative paths in the same folder
        ray.init(
            "local",
            num_cpus=4,
            object_store_memory=200_000_000,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        outputs = [run(code) for code in blocks]
        ray.shutdown()
    # Ray's own threads may still print.
    os.write(1, b"\n" + json.dumps(outputs).encode() + b"\n")
