"""The mutants, room by room, and {name: group} of all: data alone, which imports nothing but itself."""

from mutant_groups import (
    cam,
    data,
    engine,
    gradients,
    inside,
    inside_alike,
    inside_concepts,
    inside_search,
    metrics,
    painting,
    perturbation,
)

INSIDE = (inside, inside_search, inside_alike, inside_concepts)
ROOMS = (gradients, cam, perturbation, painting, *INSIDE, engine, metrics, data)
GROUPS = {name: group for room in ROOMS for name, group in room.GROUPS.items()}
