"""Bone quality of vertebrae with metastases: phantom lesions, the public layout of data, and the networks."""
