"""New processes at the price of a fork: their server has imported TensorFlow, of which nothing has run there.

A process therefore begins without a session, a thread or a graph of TensorFlow, and the variables that it is given
(threads, instruction set) count for it alone. The server starts when it is first needed; the order of its sets is not
that of the tests' own process. Where no server can fork, every process imports TensorFlow for itself.
"""

import importlib
import multiprocessing
import os
import pickle
import sys
import traceback
from unittest import mock

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)


def start_server():
    """Start the server unless it runs already."""
    if METHOD == "spawn":
        return
    from multiprocessing.forkserver import ensure_running

    CONTEXT.set_forkserver_preload(["tensorflow", "keras"])
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    with mock.patch.dict(os.environ, PYTHONHASHSEED=other):
        ensure_running()


def ask(function, *arguments, **environ):
    """What `function(*arguments)` returns in a new process with the variables `environ`; it must be importable."""
    start_server()
    ours, theirs = CONTEXT.Pipe(duplex=False)
    question = pickle.dumps((function, arguments))  # bytes: the modules are imported after the variables are set
    process = CONTEXT.Process(target=_answer, args=(theirs, {**os.environ, **environ}, question))
    process.start()
    theirs.close()
    try:
        fine, found = ours.recv()
    except EOFError:
        fine, found = False, "the process ended without an answer"
    finally:
        process.join()
        ours.close()
    assert fine, found
    return found


def _answer(pipe, environ, question):
    os.environ.update(environ)
    try:
        function, arguments = pickle.loads(question)
        pipe.send((True, function(*arguments)))
    except BaseException:
        pipe.send((False, traceback.format_exc()))


def has(name):
    """Whether this process has imported a module."""
    return name in sys.modules


def brought_by(name):
    """The modules that an import brings in beyond those of TensorFlow and Keras."""
    importlib.import_module("keras")
    theirs = set(sys.modules)
    importlib.import_module(name)
    return set(sys.modules) - theirs


def evaluated(root, folder, network, inputs, **question):
    """The table of `xu.evaluate` by the copy of the package in `root`, and how many answers its folder holds then."""
    sys.path.insert(0, str(root))
    xu = importlib.import_module("xai_utils")
    assert xu.__file__.startswith(str(root))
    table = xu.evaluate(xu.load_model(network), inputs, 1, folder=folder, **question)
    return table, len(os.listdir(folder))


def evaluated_by_a_visitor(root, folder, network, inputs):
    """The same for the method and the metric of the module `mine` in `root`, beside the copy of the package."""
    sys.path.insert(0, str(root))
    mine, xu = importlib.import_module("mine"), importlib.import_module("xai_utils")
    methods = (xu.Method(function=mine.method, output="map"),)
    metrics = (xu.Metric(name="total", measure=mine.total, better="high"),)
    return evaluated(root, folder, network, inputs, methods=methods, metrics=metrics)
