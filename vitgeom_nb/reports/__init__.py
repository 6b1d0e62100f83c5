"""One page on one network: what is measured, how it is said and drawn, and the page."""
