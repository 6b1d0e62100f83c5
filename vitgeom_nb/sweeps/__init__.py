"""Sweeps: every image of a data set, for several networks, measured once and kept, on one machine or on many."""
