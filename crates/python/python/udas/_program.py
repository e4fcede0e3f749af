"""The program `udas`, started from Python."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import threading

from ._udas import BadInput, UdasError, UsageError


class Refused(UdasError):
    """An adaptation was refused, rolled back, collapsed or has not converged (exit code 4)."""


_ERRORS = {2: UsageError, 3: BadInput, 4: Refused}


def program():
    """Path of the program: UDAS_PROGRAM, the one that came with this package, or the first one on the PATH."""
    named = os.environ.get("UDAS_PROGRAM")
    if named:
        return named
    name = "udas.exe" if os.name == "nt" else "udas"
    beside = os.path.join(sysconfig.get_path("scripts"), name)
    found = beside if os.path.isfile(beside) else shutil.which("udas")
    if not found:
        raise UdasError("the program udas is not installed; install the wheel, or name it by UDAS_PROGRAM")
    return found


def run(*arguments, progress=None, cwd=None):
    """Runs the program with these arguments and returns its results: a list, one a result.

    Each line that it says is given to `progress`. Errors are exceptions with the program's own words.
    """
    command = [program(), "--json", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    # In a group of its own the program hears of Ctrl-C once, from here: a second one would end it at once.
    if os.name == "nt":
        pipes["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        pipes["start_new_session"] = True
    said, failures = [], []
    with subprocess.Popen(command, cwd=cwd, **pipes) as child:

        def listen():
            for line in child.stderr:
                said.append(line.rstrip("\n"))
                # The program goes on where the caller's own function fails: nobody else empties its pipe.
                if progress is not None and not failures:
                    try:
                        progress(said[-1])
                    except Exception as failure:
                        failures.append(failure)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            output = child.stdout.read()
        except KeyboardInterrupt:
            if child.poll() is None:
                child.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
            child.wait()
            raise
        code = child.wait()
        listener.join()
    if failures:
        raise failures[0]
    if code != 0:
        words = ("error: ", "hint: ")
        told = [line.split(": ", 1)[1] for line in said if line.startswith(words)]
        raise _ERRORS.get(code, UdasError)("; ".join(told) or "\n".join(said[-5:]) or f"exit code {code}")
    return _results(output)


def _results(text):
    """The JSON values of a text, one after the other."""
    decoder, values, place = json.JSONDecoder(), [], 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        value, place = decoder.raw_decode(text, place)
        values.append(value)
    return values


def _command(name, progress, options):
    arguments = [name]
    for option, value in options.items():
        flag = "--" + option.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(flag)
        elif isinstance(value, (list, tuple)):
            arguments += [flag, *map(str, value)]
        else:
            arguments += [flag, str(value)]
    results = run(*arguments, progress=progress)
    return results[-1] if results else None


def train(*, progress=None, **options):
    """`udas train`: options by name, such as ``data="brains", domain="GE_3", out="runs/source"``."""
    return _command("train", progress, options)


def head(*, progress=None, **options):
    """`udas head`: options by name, such as ``model="runs/source", data="brains", domain="GE_3", out="runs/source/head0"``."""
    return _command("head", progress, options)


def adapt(*, progress=None, **options):
    """`udas adapt`: options by name, such as ``model="runs/source", images=["new_scanner"], out="runs/adapted"``."""
    return _command("adapt", progress, options)


def judge(*, progress=None, **options):
    """`udas judge`: options by name, such as ``before="runs/source", after="runs/adapted", images=["new_scanner"]``."""
    return _command("judge", progress, options)


def predict(*, progress=None, **options):
    """`udas predict` on files: options by name, such as ``model="runs/adapted", images=["new_scanner"], out="masks"``."""
    return _command("predict", progress, options)


def evaluate(*, progress=None, **options):
    """`udas evaluate`: options by name, such as ``predictions="masks", data="brains", domain="GE_15"``."""
    return _command("evaluate", progress, options)
