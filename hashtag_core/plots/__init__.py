"""How numbers, pictures and users are drawn, for slides and notebooks.

style        what all of them share: colours, fonts, legends, saving
numbers      tables as bars, curves, what is in the data, the map of users
pictures     pictures with predicted hashtags, pictures found for a hashtag
beyond       `ours+`: differences with their intervals, reliability
learning     learning curves, also while a model is trained
diagrams     the model, and the joint space around a word
html_views   photos, rankings and maps as HTML
"""
