"""One operating point per image, so that the set scores best within its bytes."""
