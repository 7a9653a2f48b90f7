"""Why a library's answer to a case by hand is another: by the library, then by the key of the case."""

WHOLE = "the whole bias stands in every denominator, where the formula has its part of that sign"
NO_RULE = "it has no rule for this kind of layer, and says so"
WEIGHTS = "takes the parts of the weights for those of the products, which is wrong wherever an input is negative"
TWICE = "hands all relevance to both branches of the sum: 14 for a score of 7"
GATE = "hands all relevance to both factors, each by the derivative of the product: the sum is not S"
SHIFT = "relevance passes the normalisation as if it had no shift; folded by its canonizer it is right"
POOL = "where no rule is named, relevance follows the gradient, in equal parts; its own composites name one"
STORED = "the second call of a layer overwrites the inputs that the first had stored, and both are explained with them"
SQUARE = "the square of the bias stands in the denominators"
ONCE = WEIGHTS + "; a negative neuron is treated as a positive one"
PLAIN = "the bias counts once and not 1 + gamma times where it pushes with its neuron"
UNSEEN = "the sum is not seen: 19 for a score of 7; through its own module for sums it is right"
REUSED = "refuses a module that is used more than once, and says so"
RELU = "it has no rule for a ReLU that is a layer of its own; the error has no message"
NORM = "it folds with the variance in place of its root, and with a shift that lacks gamma"
ZEROS = "a negative score has a map of zeros"

ZENNIT = {
    "two layers with biases | (1, 2) | w^2 below, LRP-0 above": SQUARE,
    "x + f(x) | (1, 2) | LRP-0 | as an operation": TWICE,
    "a normalisation | (1, 2) | LRP-0 | as it comes": SHIFT,
    "an average pool | (3, 1, -1, 2) | LRP-0 | rules for layers of weights alone": POOL,
    "a layer used twice | (1, 2) | LRP-0": STORED,
    "x sigmoid(x) | (2,) | LRP-0": GATE,
}
CAPTUM = {
    "two layers | (-1, 2) | z+": WEIGHTS,
    "two layers | (-1, 2) | gamma 1/2": ONCE,
    "two layers with biases | (1, 2) | z+": WHOLE,
    "two layers with biases | (1, 2) | gamma 1/2": PLAIN,
    "x + f(x) | (1, 2) | LRP-0 | as an operation": UNSEEN,
    "a normalisation | (1, 2) | LRP-0 | as it comes": NO_RULE,
    "a ReLU6 | (2,) | LRP-0": NO_RULE,
    "an ELU | (-1,) | LRP-0": NO_RULE,
    "a signal of three | (1, 5, 2) | LRP-0 | nothing said about Flatten": NO_RULE,
    "a layer used twice | (1, 2) | LRP-0": REUSED,
    "x sigmoid(x) | (2,) | LRP-0": NO_RULE,
}
INNVESTIGATE = {
    "two layers | (1, 2) | LRP-0 | ReLU as a layer of its own": RELU,
    "two layers | (-1, 2) | z+ | Deep Taylor": ZEROS,
    "two layers with biases | (1, 2) | z+": WHOLE,
    "two layers with biases | (1, 2) | alpha 2, beta 1": WHOLE,
    "x + f(x) | (1, 2) | z+ | Deep Taylor": TWICE,
    "a normalisation | (1, 2) | LRP-0 | as it comes": NORM,
    "x sigmoid(x) | (2,) | LRP-0": GATE,
}
REASONS = {"ours": {}, "zennit": ZENNIT, "captum": CAPTUM, "innvestigate": INNVESTIGATE}
