"""The harness' own commands, one module each: its options beside what it does."""
