"""Training of the codec's networks, from a recipe to exported weights."""
