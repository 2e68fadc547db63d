"""Find models that are installed as packages, by the entry-point group `plgg.models`.

    [project.entry-points."plgg.models"]
    glioma-flair = "plgg_glioma_flair:FOLDER"

The entry is the path of a folder that `plgg export --format plgg-model` made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from plgg.core.errors import ConfigError, PlggError
from plgg.data.ensemble_folder import read_ensemble

GROUP = "plgg.models"


@dataclass(frozen=True)
class InstalledModel:
    """A model that is installed.

    Attributes:
        name: Name for `--model`.
        folder: Path of the model.
        package: Name and version of the package that contains it.
        licence: Licence of the weights, from the package's metadata.
        about: Note for readers of its results.
        members: Number of networks.
    """

    name: str
    folder: Path
    package: str
    licence: str
    about: str
    members: int


def installed_models() -> list[InstalledModel]:
    """List all installed models, sorted by name.

    Raises:
        ConfigError: If one cannot be loaded.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            folder = Path(entry.load())
            record = read_ensemble(folder)
        except (ImportError, AttributeError, TypeError, PlggError) as error:
            raise ConfigError(
                f"the installed model {entry.name!r} cannot be used ({error})",
                remedy="Install its package again.",
            ) from error
        package, licence = "", ""
        if entry.dist is not None:
            package = f"{entry.dist.name} {entry.dist.version}"
            fields = entry.dist.metadata.json
            licence = str(fields.get("license_expression") or fields.get("license") or "")
        found.append(
            InstalledModel(entry.name, folder, package, licence, record.about, len(record.members))
        )
    return found


def model_folder(named: Path | None) -> Path:
    """Find the folder of a model by its path, or by the name of an installed model.

    Args:
        named: A folder, the name of an installed model, or None for the only installed model.

    Raises:
        ConfigError: If none is named and none or several are installed.
    """
    if named is not None and named.exists():
        return named
    models = {model.name: model for model in installed_models()}
    if named is not None:
        known = models.get(str(named))
        return known.folder if known else named
    if len(models) != 1:
        some = ", ".join(models)
        raise ConfigError(
            f"several models are installed ({some})" if models else "no model is installed",
            where="--model",
            remedy="Name one with --model."
            if models
            else "Name a run with --model, or install one: see docs/models.md.",
        )
    (only,) = models.values()
    return only.folder


def model_folders(named: Path | str | Sequence[Path] | None) -> list[Path]:
    """Find the folders of models, each by its path or by the name of an installed model.

    Raises:
        ConfigError: As `model_folder`.
    """
    if named is None:
        return [model_folder(None)]
    several = [named] if isinstance(named, Path | str) else named
    return [model_folder(Path(one)) for one in several]
