"""The conformance suite of the bitstream: streams for each of its elements and bounds, and what they decode to."""
