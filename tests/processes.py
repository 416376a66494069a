"""Processes of their own that begin in milliseconds: forks of a server that has loaded torch, and nothing of ours.

Starting Python and importing torch takes three seconds, many times over. What runs here is as fresh as after `python
-m`: the server has computed nothing, holds none of this project's modules, and makes none of the checks of shapes that
the tests make at every call.
"""

import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from socket import socket
from subprocess import CompletedProcess

FRESH = get_context("forkserver")
FRESH.set_forkserver_preload(["torch", "torch.export", "torch._dynamo", "torch.distributed", "accelerate", "tyro",
                              "rich", "scipy.ndimage", "PIL.Image"])


def _work(target: str, argv: Sequence[str], environment: Mapping[str, str], folder: str, files: Sequence[str]) -> None:
    """In the new process: what `python` does with `-m MODULE`, a script, or `-c CODE`."""
    for descriptor, name in enumerate(files, 1):
        opened = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = [target, *argv]
    sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    import torch

    torch.set_num_threads(1)
    try:
        if target.startswith("-c "):
            exec(compile(target[3:], "<code>", "exec"), {"__name__": "__main__"})
        elif target.endswith(".py"):
            sys.path.insert(0, str(Path(target).parent))
            runpy.run_path(target, run_name="__main__")
        else:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def start(target: str | Path, *argv: object, cwd: Path | str = ".", processes: int = 1, check: bool = True,
          **environment: object) -> CompletedProcess[str]:
    """Runs a module, a script (.py) or `-c CODE`; exit code, stdout and stderr. `check`: it must succeed.

    Several `processes` are those of a run under torchrun: each finds its number and the others in the environment.
    """
    with ExitStack() as stack, socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        started, files = [], [stack.enter_context(tempfile.NamedTemporaryFile("r")) for _ in range(2)]
        for rank in range(processes):
            ranks = {} if processes == 1 else {
                "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes,
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            own = {**os.environ, **{name: str(value) for name, value in (ranks | environment).items()}}
            task = str(target), list(map(str, argv)), own, os.path.abspath(cwd), [file.name for file in files]
            started.append(FRESH.Process(target=_work, args=task))
            started[-1].start()
        for process in started:
            process.join(300)
            process.kill()
        out, err = (file.read() for file in files)
    code = next((process.exitcode for process in started if process.exitcode), 0)
    done = CompletedProcess([str(target), *map(str, argv)], code, out, err)
    assert not check or done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done
