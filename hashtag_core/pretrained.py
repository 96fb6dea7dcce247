"""Trained models as folders that travel: shipped with the repository, on disk, or on a model hub.

    predictor = PlusPredictor.from_pretrained("open-art")       # of data/models
    predictor.save_pretrained("mine")                           # a folder
    predictor.push_to_hub("me/my-hashtags")                     # the same folder on huggingface.co
    PlusPredictor.from_pretrained("me/my-hashtags")

The methods are named as those of huggingface_hub's mixin. They are not that mixin, which would have
to be imported with this library; huggingface_hub is imported where the hub itself is asked.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from hashtag_core.errors import InputError, printable
from hashtag_core.files import OURS, write_whole
from hashtag_core.formats import read_json
from hashtag_core.repository import repository_folder
from hashtag_core.training.runs import FILES, Run, load_run, save_run
from hashtag_core.training.state import TrainConfig

if TYPE_CHECKING:
    from hashtag_core.data.hashtags import Hashtags
    from hashtag_core.model.joint_embedding import HashtagModel
    from hashtag_core.model.user_encoders import UserEncoder

CARD_NAME = "README.md"  # where a hub looks for it
CARD = """---
library_name: hashtag_core
tags: [hashtag-prediction, user-modelling]
---

A model of hashtag_core, user-conditional, open-vocabulary image hashtag prediction:
{hashtags:,} hashtags, {seen:,} of them seen in training. Open it with

```python
from hashtag_core import {kind}

predictor = {kind}.from_pretrained({where!r})
```
{memory}"""
MEMORY = """
plus.safetensors holds the hashtags of the training photos and a short vector of each of their
pictures. Share it only where those photos may be shared.
"""


class Pretrained:
    """What a predictor does with folders of trained models; a part of `HashtagPredictor`."""

    files: tuple[str, ...] = FILES  # of a run folder that it reads
    about: dict  # run.json, of the run that was opened; empty for a model made by hand
    model: HashtagModel
    hashtags: Hashtags

    @classmethod
    def load(
        cls,
        run: str | Path,
        device: str | None = None,
        words: str | Path | None = None,
        user_encoder: UserEncoder | None = None,
    ) -> Self:
        """Open the run folder of a trained model.

        Args:
            run: the folder.
            device: where to compute; chosen automatically where not given.
            words: its word vectors, where they no longer lie where run.json says.
            user_encoder: the encoder that it was trained with, where that is one of your own that
                `ENCODERS` does not have; its weights are read.

        Raises:
            InputError: where a file is missing or damaged, or the model cannot predict.
        """
        model, hashtags, about = load_run(run, user_encoder)
        data = about["data"]
        convnets = data.get("convnet"), data.get("query_convnet")
        words = data.get("words") if words is None else words
        given: list[Any] = [*cls._read_more(run, model, hashtags), model, hashtags]
        given += [convnets[0], words, device, convnets[1]]
        predictor = cls(*given)
        predictor.about = about
        return predictor

    @classmethod
    def _read_more(cls, run: str | Path, model: HashtagModel, hashtags: Hashtags) -> tuple:
        """The arguments that come before the model."""
        return ()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "open-art",
        device: str | None = None,
        words: str | Path | None = None,
        user_encoder: UserEncoder | None = None,
        revision: str | None = None,
    ) -> Self:
        """A trained model by its name.

        Args:
            name: a model of data/models, a run folder, or "owner/name" of a model on
                huggingface.co, which is downloaded once.
            device: where to compute; chosen automatically where not given.
            words: as in `load`.
            user_encoder: as in `load`.
            revision: on the hub, which version: a branch, a tag or a commit.

        Raises:
            InputError: where there is none of that name, or it cannot be had.
        """
        shipped = _shipped()
        if name in shipped:  # a Path is a folder in any case
            return cls.load(shipped[str(name)], device, words, user_encoder)
        if name and Path(name).is_dir():
            return cls.load(name, device, words, user_encoder)
        if str(name).count("/") != 1 or isinstance(name, Path):
            raise InputError(
                f"no model {printable(str(name))!r}. There are: {', '.join(shipped) or 'none'}; "
                "else name a run folder, or a model of huggingface.co as owner/name."
            )
        return cls.load(_download(str(name), revision, cls.files), device, words, user_encoder)

    def save_pretrained(self, folder: str | Path, where: str | None = None) -> None:
        """Write the model, its vocabulary and how it was made: a run folder, with a README.md.

        No path of this machine is written: of the file of word vectors the name alone.

        Args:
            folder: made where it is not there; an earlier model that was saved there is replaced,
                its README.md stays.
            where: what README.md shall say to open it by; the folder where not given.

        Raises:
            InputError: where the folder holds something else, the disk is full, or the predictor
                was not opened from a run: then `save_run` writes the model.
        """
        if not self.about:
            raise InputError("made by hand, not opened from a run: write the model by `save_run`.")
        folder = Path(folder)
        where = where or folder.resolve().name
        if where in _shipped():
            raise InputError(f"{where} is the name of a model of data/models. Name another folder.")
        _refuse_others(folder, self.files)
        settings, log = TrainConfig(**self.about["training"]), self.about["log"]
        if not (folder / CARD_NAME).exists():  # later somebody may have written more in it
            card = CARD.format(
                hashtags=len(self.hashtags),
                seen=self.hashtags.num_seen,
                kind=type(self).__name__,
                where=where,
                memory=MEMORY if set(self.files) > set(FILES) else "",
            )
            write_whole(folder / CARD_NAME, card.encode())
        save_run(folder, self.model, self.hashtags, settings, log, self.portable_data())
        self._save_more(folder)

    def push_to_hub(
        self, name: str, private: bool = False, token: str | None = None, message: str = "Model"
    ) -> str:
        """Write the model to huggingface.co, and return its address.

        Args:
            name: "owner/name"; made where it is not there.
            private: whether a new one is for its owner alone.
            token: of the account; that of `hf auth login` where not given.
            message: of the commit.

        Raises:
            InputError: where the hub cannot be reached or refuses it.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, name)
            try:
                api = _hub().HfApi(token=token)
                api.create_repo(name, private=private, exist_ok=True)
                return str(
                    api.upload_folder(
                        repo_id=name, folder_path=folder, commit_message=message
                    ).repo_url
                )
            except Exception as error:  # of the network, of the hub, of a name that cannot be
                raise _refused(name, error) from None

    def portable_data(self) -> dict:
        """What run.json shall say of the data, without a path of this machine."""
        return {
            name: _last_of_path(x) if isinstance(x, str) else x
            for name, x in self.about["data"].items()
        }

    def _save_more(self, folder: Path) -> None:
        """Write the files that a run of the paper's model does not have."""


def _shipped() -> dict[str, Path]:
    """The models of data/models; none where the library was installed without the repository."""
    try:
        models = repository_folder("data/models")
    except InputError:
        return {}
    return {path.name: path for path in sorted(models.iterdir()) if path.is_dir()}


def _refuse_others(folder: Path, files: tuple[str, ...]) -> None:
    """Refuse a folder that holds anything but a model that `save_pretrained` wrote."""
    mend = "Name another folder."
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is there, and is no folder. {mend}")
    there = [path for path in folder.iterdir() if OURS not in path.name]
    for path in there:
        known = path.name in files or path.name in (CARD_NAME, ".gitattributes", ".git")
        if not known or path.is_symlink():
            raise InputError(f"{path} is there, and is not of such a model. {mend}")
    card = folder / CARD_NAME
    if there and (not card.is_file() or CARD.split("\n")[1].encode() not in card.read_bytes()):
        raise InputError(f"{folder} holds files, and no {CARD_NAME} of a saved model. {mend}")
    if (folder / "run.json").exists():
        read_json(folder / "run.json", Run, mend)


def _last_of_path(text: str) -> str:
    """Of an absolute path, on whatever system, its last part; every other text as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute():
            return kind(text).name
    return text


def _hub():
    try:
        import huggingface_hub
    except ImportError:
        raise InputError("huggingface_hub is not there: `pip install huggingface_hub`.") from None
    return huggingface_hub


def _download(name: str, revision: str | None, files: tuple[str, ...]) -> str:
    """The folder in the hub's cache where a model lies, downloaded where it does not."""
    try:
        return _hub().snapshot_download(name, revision=revision, allow_patterns=[*files])
    except Exception as error:  # of the network, of the hub, of a name that cannot be
        raise _refused(name, error) from None


def _refused(name: str, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{printable(name)} on huggingface.co: {reason}")
