"""The command line: what each command of `hashtag-core` does with its options."""
