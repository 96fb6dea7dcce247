"""Beyond the paper: `ours+`, the paper's model and what copying knows, in one softmax.

usage       what a user has done so far: which hashtags, when, on which pictures
memory      hashtags of like photos of other users
evidence    the hashtags there is evidence of, and what speaks for each
scorer      s, which weighs it, and its training
plus        `ours+`: f and s together; the guard
keeping     `ours+` on disk
"""
