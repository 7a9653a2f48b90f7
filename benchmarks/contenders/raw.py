"""The raw passes of a Keras network: plain calls of a tf.function, one batch of all inputs, nothing around them."""

import tensorflow as tf


def forward(case, _):
    model, x = case.network(), tf.constant(case.inputs)
    run = tf.function(lambda x: model(x, training=False))
    return lambda: run(x).numpy()


def gradient_function(model):
    """dS_c/dx of a batch, c one class each."""

    @tf.function(reduce_retracing=True)
    def run(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.gather(model(x, training=False), classes, axis=1, batch_dims=1)
        return tape.gradient(score, x)

    return run


def gradient(case, _):
    x, classes = tf.constant(case.inputs), tf.constant(case.targets)
    run = gradient_function(case.network())
    return lambda: run(x, classes).numpy()


METHODS = {"forward": forward, "gradient": gradient}
