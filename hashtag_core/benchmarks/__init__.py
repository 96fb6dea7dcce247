"""Speed and memory, each against its alternatives in the same run: `hashtag-core benchmark`."""
