"""Speed and memory, each against its alternatives in the same run: `hashtag-core benchmark`.

`measure.py` measures a piece of work in a process of its own. Each benchmark is a module with

    SIZES, QUICK    how much is measured, and how much with --quick
    NEEDS           the packages that it cannot do without, where there are any
    DEVICES         where it makes sense, where that is not everywhere
    count           (device, repeats, **sizes) -> how many measurements there will be
    run             (meter, **sizes) -> its rows, each as soon as it is measured
"""
