"""How sure a network is and how often it is right: predictions, reliability, temperature, training histories."""
