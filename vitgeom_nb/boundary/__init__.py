"""How far an image is from another label: FGSM directions, travel distances, random jumps, the plane of both ways."""
