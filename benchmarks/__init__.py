"""Speed, memory and accuracy of each engine beside what one would otherwise write, and beside the floor."""
