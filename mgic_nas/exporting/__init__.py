"""Trained networks as folders that ship: for the Hugging Face hub, ONNX (in 8 bits, too), pt2 and OpenVINO.

:func:`.ship.export` writes one from a :class:`.source.Source`; what is written is opened again and compared with the
network on real images before it is kept.
"""
