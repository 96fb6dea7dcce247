"""Beyond the paper: `ours+`, the paper's model and what copying knows, in one softmax.

usage          what a user has done so far: which hashtags, when, on which pictures
looks          how hashtags look: the mean picture of each
memory         hashtags of like photos of other users
evidence       the hashtags there is evidence of, and what speaks for each
scorer         s, which weighs it, and its training
plus           `ours+`: f and s together
plus_training  how s is trained; the guard
retrieval      pictures for a hashtag by `ours+`
keeping        `ours+` on disk
"""
