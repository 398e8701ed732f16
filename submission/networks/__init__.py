"""The codec's networks as they are trained: transforms, entropy parameters, and all of them in one pass."""
