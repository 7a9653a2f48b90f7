"""Which of our maps of relevance propagation is compared with which of theirs, and where the definitions differ."""

from tools.peers.comparisons import Comparison
from tools.peers.ours import parts_of_weights

WHOLE = "the whole bias stands in every denominator; ours has its positive or its negative part, unless told otherwise"
NEAR_ZERO = WHOLE + (
    ". A whole bias can bring a denominator so close to 0 that rounding decides: on `faces` our own maps in single and "
    "in double precision are 2e-3 apart"
)
MAXIMUM = (
    "on `faces` its maps do not sum to the change of the score (off by up to 0.17; ours by 1e-6). Of the networks that "
    "alone has several maxima in a row, where another position may win in the input than in the baseline"
)
WEIGHTS = (
    "the whole bias stands in the denominators, and for the parts of the products it takes those of the weights, which "
    "is another rule where inputs are negative (mnist1d)"
)
PADDED = "the uneven padding of this network is a layer of its own in the twin, and zennit counts it as inputs"
RULES = {
    "epsilon": "LRP-0",
    "z_plus": "z+",
    "gamma": "gamma 1/4",
    "alpha_beta": "alpha 2, beta 1",
    "flat": "flat",
    "z_box": "z^B below, z+ above",
    "epsilon_plus": "epsilon, z+",
    "epsilon_plus_flat": "epsilon, z+, flat",
    "epsilon_gamma_box": "epsilon, gamma, z^B",
    "epsilon_alpha2_beta1": "epsilon, alpha 2, beta 1",
}

RELEVANCE_COMPARISONS = (
    Comparison("lrp", "captum", "lrp_epsilon", lambda ours: ours.lrp("epsilon"), step="LRP-0"),
    Comparison(
        "lrp",
        "captum",
        "lrp_z_plus",
        lambda ours: ours.lrp("z_plus"),
        step="alpha 1, beta 0",
        reason=WEIGHTS,
        adapted=lambda ours: parts_of_weights(ours, "z_plus"),
    ),
    Comparison(
        "lrp",
        "captum",
        "lrp_gamma",
        lambda ours: ours.lrp("gamma"),
        step="gamma 1/4",
        reason=WEIGHTS,
        adapted=lambda ours: parts_of_weights(ours, "gamma"),
        adapted_key="lrp_gamma_float64",
    ),
    Comparison(
        "deep_lift",
        "captum",
        "deep_lift",
        lambda ours: ours("deep_lift", baseline="zero"),
        step="from zero",
        reason=MAXIMUM,
    ),
    *(
        Comparison("lrp", "zennit", rule, lambda ours, rule=rule: ours.lrp(rule), step=step, absent=PADDED)
        for rule, step in RULES.items()
    ),
    Comparison(
        "lrp",
        "zennit",
        "w_square",
        lambda ours: ours.lrp("w_square"),
        step="w^2",
        absent=PADDED,
        reason="the square of the bias stands in the denominators",
        adapted_key="w_square_without_biases",
    ),
    Comparison(
        "lrp",
        "zennit",
        "without_biases",
        lambda ours: ours.lrp("alpha_beta", bias="none"),
        step="alpha 2, beta 1, no biases",
    ),
    *(
        Comparison(
            "lrp",
            "crp",
            f"through_{channel}",
            lambda ours, channel=channel: ours.lrp("z_plus", through=(ours.case.layer, (channel,))),
            step=f"z+, through channel {channel} of a layer",
        )
        for channel in (0, 3)
    ),
    Comparison("lrp", "innvestigate", "epsilon", lambda ours: ours.lrp("epsilon"), step="LRP-0"),
    Comparison(
        "lrp",
        "innvestigate",
        "alpha_1_beta_0",
        lambda ours: ours.lrp("z_plus"),
        step="alpha 1, beta 0",
        reason=WHOLE,
        adapted=lambda ours: ours.lrp("z_plus", bias="whole"),
    ),
    Comparison(
        "lrp",
        "innvestigate",
        "alpha_2_beta_1",
        lambda ours: ours.lrp("alpha_beta"),
        step="alpha 2, beta 1",
        reason=NEAR_ZERO,
        adapted=lambda ours: ours.lrp("alpha_beta", bias="whole"),
    ),
    Comparison(
        "lrp",
        "innvestigate",
        "without_biases",
        lambda ours: ours.lrp("z_plus", bias="none"),
        step="alpha 1, beta 0, no biases",
    ),
    Comparison(
        "lrp",
        "innvestigate",
        "alpha_2_beta_1_without_biases",
        lambda ours: ours.lrp("alpha_beta", bias="none"),
        step="alpha 2, beta 1, no biases",
    ),
    Comparison("lrp", "innvestigate", "flat", lambda ours: ours.lrp("flat"), step="flat"),
    Comparison("lrp", "innvestigate", "w_square", lambda ours: ours.lrp("w_square"), step="w^2"),
)
