"""The Jacobian of the embedding: rows, singular values and directions, and the steps that they foretell."""
