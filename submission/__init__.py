"""The encoder's half of our codec: analysis, quantisation, training, export, packaging."""
