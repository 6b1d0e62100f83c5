"""How the embedding turns while the image moves straight: direction change, curvature, step law, what bends."""
