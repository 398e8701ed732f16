"""What is sent to the challenge. Imports nothing but the standard library, torch, numpy and pillow."""
