"""What runs inside one operation of a graph: the functions of a loop, a branch or a call, and the kinds in them."""

import functools


def functions(node):
    """The names of the functions that a node runs."""
    parts = [part for value in node.attr.values() for part in (value.func, *value.list.func)]
    return [part.name for part in parts if part.name]


def can_run(definition):
    """Whether operations so defined run functions."""
    return any("func" in attribute.type for attribute in definition.attr)


class Bodies:
    """The functions of a graph, which is written out once, when an operation is met that runs one."""

    def __init__(self, graph):
        self._graph, self._known, self._running = graph, {}, {}

    @functools.cached_property
    def _all(self):
        return {each.signature.name: each for each in self._graph.as_graph_def().library.function}

    def _read(self, name):
        """The kinds of the nodes in a function, and the names of the functions that these run."""
        if name not in self._known:
            nodes = self._all[name].node_def if name in self._all else ()
            self._known[name] = {node.op for node in nodes}, {inner for node in nodes for inner in functions(node)}
        return self._known[name]

    def kinds(self, operation):
        """The kinds of all nodes of the functions that an operation runs, and of those that run in them."""
        if operation.type not in self._running:
            self._running[operation.type] = can_run(operation.op_def)
        waiting, seen, kinds = functions(operation.node_def) if self._running[operation.type] else [], set(), set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                own, called = self._read(name)
                kinds |= own
                waiting.extend(called)
        return kinds
