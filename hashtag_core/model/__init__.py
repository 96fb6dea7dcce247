"""The model, from a picture and a history to the score of a hashtag (§3).

convnet             picture -> feature (Equation 2)
user_encoders       history -> user: the GRU over image-hashtags pairs (Equations 3 to 5)
baseline_encoders   the users that the paper compares with: [B], [C], [D], [E], [43]
fusion              two vectors -> one: Equations 4 and 6, Table 4
joint_embedding     the whole model (Equations 6 and 7)
loss                softmax over all training hashtags, in chunks (Equations 8 and 9)
products            matrix products that loss and ranking share
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi
