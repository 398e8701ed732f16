"""Every image at every operating point, coded and scored once."""
