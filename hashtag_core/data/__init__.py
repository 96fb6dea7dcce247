"""The data: photos of users, their hashtags, word vectors, splits, histories, batches."""
