"""Which operations of a graph are the model's own.

What questions about it add behind them, scores and gradients, reads the same tensors and is no part of the network.
"""


def close(graph):
    """The pass of a model ends here: what a graph holds so far is the model's. How many operations that are."""
    graph.own = graph.get_operations()
    return len(graph.own)


def operations(graph):
    """The operations of the model, in their order; of a graph that was never closed all."""
    return getattr(graph, "own", None) or graph.get_operations()


def readers(tensor):
    """The operations of the model that read a tensor."""
    last = operations(tensor.graph)[-1]._id
    return [each for each in tensor.consumers() if each._id <= last]
