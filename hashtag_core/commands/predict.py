"""`hashtag-core predict`: hashtags for a picture, given who posts it."""

from __future__ import annotations

import argparse
from pathlib import Path

from hashtag_core.commands.output import write_json
from hashtag_core.commands.paths import Read
from hashtag_core.errors import InputError
from hashtag_core.printing import progress_bar, say

CANDIDATES = (
    "choose among these, seen in training or not; one without a word vector is told and left out"
)


def add_command(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line."""
    predict = commands.add_parser("predict", parents=[common], help="hashtags for a picture")
    predict.add_argument("--image", metavar="FILE", type=Read, required=True, help="the picture")
    predict.add_argument(
        "--history",
        metavar="TABLE",
        type=Read,
        help="any table (image, hashtags), or your collection",
    )
    predict.add_argument("--hashtags", metavar="A,B,C", help=CANDIDATES)
    predict.add_argument("-k", type=int, default=10, help="how many; default: %(default)s")
    predict.add_argument(
        "--run", metavar="DIR", type=Read, help="default: the model of data/models/open-art"
    )
    predict.add_argument(
        "--paper", action="store_true", help="by the paper's model alone, without ours+"
    )
    predict.set_defaults(command=_predict)


def _predict(options: argparse.Namespace) -> None:
    from hashtag_core.data.history_reading import collection_history
    from hashtag_core.plus_prediction import PlusPredictor, open_predictor
    from hashtag_core.sources.history import read_any_history

    if options.k < 1:
        raise InputError(f"-k {options.k}: ask for at least one hashtag.")
    predictor = open_predictor(options.run, options.paper, options.device)
    history = []
    if options.history is not None and Path(options.history).is_dir():
        history = collection_history(options.history, predictor.convnet_name)
    elif options.history is not None:
        history, understood = read_any_history(options.history)
        if understood:
            say(*understood)
    feature = predictor.feature(options.image)  # first, so that a bad picture is known at once
    user, without = predictor.user(progress_bar(history, "history", disable=not history))
    candidates = options.hashtags.split(",") if options.hashtags is not None else None
    best = predictor.predict(feature, user, candidates, options.k)
    write_json(options, [{"hashtag": name, "score": score} for name, score in best])
    if without:
        say(f"{without} photo(s) of the history left out: no hashtag with a word vector.")
    form = "{:7.1%}" if isinstance(predictor, PlusPredictor) else "{:8.2f}"  # p, or the score f
    for name, score in best:
        say(f"{form.format(score)}  {name}")
    if predictor.every_hashtag and (by_letters := predictor.approximated(candidates or [])):
        say(f"Without a word vector, known by their letters alone: {', '.join(by_letters)}")
    if left_out := predictor.unknown(candidates or [], user):
        say(f"Left out, without a word vector: {', '.join(left_out)}")
