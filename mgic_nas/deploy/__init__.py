"""The forms in which a trained network ships, and what their files say beside the weights.

:mod:`.carried` is what a file says of its network: preprocessing and class names. :mod:`.files` opens a file of any
form as a network. The packages that write and run them are of the extra "export", imported where they are used.
"""
