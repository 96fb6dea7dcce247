"""What each command of `hashtag-core` does with its options; `cli.py` has the parser.

A command imports what it needs when it runs, so that `hashtag-core --help` is quick.
"""
