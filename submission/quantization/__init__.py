"""What stands in for rounding while the codec is trained, and which gradients it lets through."""
