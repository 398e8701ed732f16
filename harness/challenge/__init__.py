"""The challenge: its rules, packed submissions, the sandbox, and everything that its server would reject."""
