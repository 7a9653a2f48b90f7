"""The first map in a fresh process: python -m benchmarks.first NETWORK METHOD CONTENDER prints its seconds, and a
second one's.

Networks of keras.applications with weights drawn at random, one input of 224 px, class 3. Imports and the network come
before; whatever a contender builds or compiles counts.
"""

import json
import subprocess
import sys
import time
import types

from tools.environment import ROOT
from tools.peers.environment import quiet

NETWORKS = {"ResNet50": "conv5_block3_out", "EfficientNetB0": "top_activation", "MobileNetV2": "out_relu"}
METHODS, CONTENDERS = ("saliency", "grad_cam"), ("ours", "tape", "function", "tf_keras_vis")
TARGET, ROUNDS = 3, 5


def measure(store, say, rounds=ROUNDS):
    """Rows of seconds, one value per fresh process; the contenders take turns."""
    kinds = [(network, method, who) for network in NETWORKS for method in METHODS for who in CONTENDERS]
    found = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            found[kind].append(store.keep(" ".join(["first", str(number), *kind]), lambda one=kind: in_process(*one)))
        say(f"first maps, round {number + 1} of {rounds}")
    return [row(*kind, found[kind]) for kind in kinds]


def row(network, method, contender, times):
    seconds = {name: [one[name] for one in times] for name in ("first", "second")}
    return {"network": network, "method": method, "contender": contender} | seconds


def in_process(*words):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.first", *words]
    done = subprocess.run(command, cwd=ROOT, env=quiet(), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


# --- in the fresh process --------------------------------------------------------------------------------------------


def explanation(network, method, contender):
    """The function that makes a map."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, network)(weights=None)
    x = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    if contender in ("tape", "function"):
        return _plain(model, x, method, NETWORKS[network], contender == "function")
    return {"ours": _ours, "tf_keras_vis": _tf_keras_vis}[contender](model, x, method, NETWORKS[network])


def _ours(model, x, method, layer):
    import xai_utils as xu

    options = {"layer": layer} if method == "grad_cam" else {}
    return lambda: getattr(xu, method)(model, x, TARGET, **options)


def _tf_keras_vis(model, x, method, layer):
    import numpy as np

    from tools.peers import with_tf_keras_vis

    case = types.SimpleNamespace(network=lambda: model, inputs=x, targets=np.array([TARGET]), layer=layer)
    return lambda: with_tf_keras_vis.METHODS[method](case, None)()


def _plain(model, x, method, layer, compiled):
    """The gradient by a tape, of the inputs or of a layer, operation by operation or compiled."""
    import keras
    import numpy as np
    import tensorflow as tf

    both = keras.Model(model.inputs, [model.get_layer(layer).output, model.output])

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            maps, scores = both(x, training=False)
            score = scores[:, TARGET]
        return maps, tape.gradient(score, x if method == "saliency" else maps)

    run = tf.function(gradient) if compiled else gradient

    def explain():
        maps, slope = run(tf.constant(x))
        if method == "saliency":
            return slope.numpy()
        return np.maximum(np.einsum("nhwk,nk->nhw", maps.numpy(), slope.numpy().mean(axis=(1, 2))), 0)

    return explain


def main():
    explain, found = explanation(*sys.argv[1:]), {}
    for name in ("first", "second"):
        started = time.perf_counter()
        explain()
        found[name] = time.perf_counter() - started
    print(json.dumps(found))


if __name__ == "__main__":
    main()
