"""Images that a network cannot tell apart: matching, fibre walks, homotopies, local Lipschitz constants."""
