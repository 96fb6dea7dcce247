"""Trained models as folders that travel: shipped with the repository, on disk, or on a model hub.

    predictor = PlusPredictor.from_pretrained("open-art")       # of data/models
    predictor.save_pretrained("mine")                           # a folder
    predictor.push_to_hub("me/my-hashtags")                     # the same folder on huggingface.co
    PlusPredictor.from_pretrained("me/my-hashtags")

The methods are named as those of huggingface_hub's mixin. They are not that mixin, which would have
to be imported with this library; huggingface_hub is imported where the hub itself is asked.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from hashtag_core.errors import InputError, printable
from hashtag_core.files import write_whole
from hashtag_core.repository import repository_folder
from hashtag_core.training.runs import FILES, save_run
from hashtag_core.training.state import TrainConfig

if TYPE_CHECKING:
    from hashtag_core.data.hashtags import Hashtags
    from hashtag_core.model.joint_embedding import HashtagModel
    from hashtag_core.model.user_encoders import UserEncoder

CARD = """---
library_name: hashtag_core
tags: [hashtag-prediction, user-modelling]
---

A model of hashtag_core, user-conditional, open-vocabulary image hashtag prediction:
{hashtags:,} hashtags, {seen:,} of them seen in training. Open it with

```python
from hashtag_core import {kind}

predictor = {kind}.from_pretrained("{where}")
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
        """Open a run folder."""
        raise NotImplementedError

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
        if str(name) in shipped:
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
            folder: made where it is not there.
            where: what README.md shall say to open it by; the folder where not given.

        Raises:
            InputError: where the folder holds something else, the disk is full, or the predictor
                was not opened from a run: then `save_run` writes the model.
        """
        if not self.about:
            raise InputError("made by hand, not opened from a run: write the model by `save_run`.")
        folder = Path(folder)
        if folder.exists() and not _is_ours(folder, (*self.files, "README.md")):
            raise InputError(f"{folder} is there, and is no saved model. Name another.")
        settings, log = TrainConfig(**self.about["training"]), self.about["log"]
        save_run(folder, self.model, self.hashtags, settings, log, self.portable_data())
        self._save_more(folder)
        card = CARD.format(
            hashtags=len(self.hashtags),
            seen=self.hashtags.num_seen,
            kind=type(self).__name__,
            where=where or folder.name,
            memory=MEMORY if set(self.files) > set(FILES) else "",
        )
        write_whole(folder / "README.md", card.encode())

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
        data = dict(self.about["data"])
        if data.get("words"):
            data["words"] = Path(data["words"]).name
        return data

    def _save_more(self, folder: Path) -> None:
        """Write the files that a run of the paper's model does not have."""


def _shipped() -> dict[str, Path]:
    """The models of data/models; none where the library was installed without the repository."""
    try:
        models = repository_folder("data/models")
    except InputError:
        return {}
    return {path.name: path for path in sorted(models.iterdir()) if path.is_dir()}


def _is_ours(folder: Path, names: tuple[str, ...]) -> bool:
    """Whether a folder is empty, or holds a saved model and nothing else."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    return there <= set(names) and (not there or "run.json" in there)


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
