"""What an image name stands for: the catalogue, and the environments that it is turned into. Knows no pod."""
