"""Why a library's answer to a case by hand is another, by the library and the key of the case."""

WHOLE = "the whole bias stands in every denominator, where the formula has its part of that sign"
NO_RULE = "no rule for this kind of layer; it says so"
WEIGHTS = "takes the parts of the weights for those of the products: wrong wherever an input is negative"
TWICE = "hands all relevance to both branches of the sum"
GATE = "hands all relevance to both factors, each by the derivative of the product, and the sum is not S"

REASONS = {
    ("zennit", "x + f(x) | (1, 2) | LRP-0 | as an operation"): TWICE + ": 14 for a score of 7",
    (
        "zennit",
        "a normalisation | (1, 2) | LRP-0 | as it comes",
    ): "relevance passes a normalisation that is not folded as "
    "if it had no shift; its canonizer folds it, once it is asked to",
    ("zennit", "an average pool | (3, 1, -1, 2) | LRP-0 | rules for layers of weights alone"): "a layer without a rule "
    "passes relevance by its gradient, in equal parts; its own composites name a rule for averages",
    ("zennit", "a layer used twice | (1, 2) | LRP-0"): "the second call of a layer overwrites what the first had "
    "stored, so the first is explained with the inputs of the second",
    ("zennit", "x sigmoid(x) | (2,) | LRP-0"): GATE,
    ("zennit", "two layers with biases | (1, 2) | w^2 below, LRP-0 above"): "the square of the bias stands in the "
    "denominators",
    ("captum", "two layers | (-1, 2) | z+"): WEIGHTS,
    ("captum", "two layers | (-1, 2) | gamma 1/2"): WEIGHTS + ", and it has no case for a negative neuron",
    ("captum", "two layers with biases | (1, 2) | z+"): WHOLE,
    (
        "captum",
        "two layers with biases | (1, 2) | gamma 1/2",
    ): "the bias counts once, where it pushes with the neuron 1 + gamma times",
    (
        "captum",
        "x + f(x) | (1, 2) | LRP-0 | as an operation",
    ): "the sum is not seen, so that both branches are paid more "
    "than arrived: 19 for a score of 7; its own module for sums is right",
    ("captum", "a normalisation | (1, 2) | LRP-0 | as it comes"): NO_RULE,
    ("captum", "a ReLU6 | (2,) | LRP-0"): NO_RULE,
    ("captum", "an ELU | (-1,) | LRP-0"): NO_RULE,
    ("captum", "a signal of three | (1, 5, 2) | LRP-0 | nothing said about Flatten"): NO_RULE,
    ("captum", "a layer used twice | (1, 2) | LRP-0"): "refuses a module that is used more than once; it says so",
    ("captum", "x sigmoid(x) | (2,) | LRP-0"): NO_RULE,
    (
        "innvestigate",
        "two layers | (1, 2) | LRP-0 | ReLU as a layer of its own",
    ): "no rule for a ReLU that is a layer of its own; the error has no message",
    (
        "innvestigate",
        "two layers | (-1, 2) | z+ | Deep Taylor",
    ): "begins with the positive part of the score, so that a negative one has a map of zeros",
    ("innvestigate", "two layers with biases | (1, 2) | z+"): WHOLE,
    ("innvestigate", "two layers with biases | (1, 2) | alpha 2, beta 1"): WHOLE,
    ("innvestigate", "x + f(x) | (1, 2) | z+ | Deep Taylor"): TWICE + ": 14 for a score of 7",
    ("innvestigate", "x sigmoid(x) | (2,) | LRP-0"): GATE,
}
