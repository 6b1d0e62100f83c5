"""Images: samples that ship, and whole labelled data sets, decoded as they are asked for."""
