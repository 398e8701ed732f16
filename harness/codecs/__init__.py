"""What a codec is, and the codecs that can be opened by a name and settings."""
