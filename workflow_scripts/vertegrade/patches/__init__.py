"""3D patches of vertebrae in the straightened frame."""
