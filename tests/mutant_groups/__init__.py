"""The mutants, room by room, and {name: group} of all: data alone, which imports nothing but itself."""

from mutant_groups import cam, data, engine, gradients, inside, metrics, painting, perturbation, relevance

ROOMS = (gradients, relevance, cam, perturbation, painting, inside, engine, metrics, data)
GROUPS = {name: group for room in ROOMS for name, group in room.GROUPS.items()}
