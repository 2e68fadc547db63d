"""`ServeOptions`: how a reading room is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.core import extras
from plgg.core.errors import ConfigError
from plgg.core.paths import require_run, require_store
from plgg.data.installed_models import model_folder
from plgg.pacs.address import is_loopback
from plgg.pacs.archive import PacsLink
from plgg.pacs.archive import require_extra as require_pacs_extra
from plgg.predict.options import PredictOptions
from plgg.serve.work import WorkFolder

_GIB = 2**30
_AS_PREDICT = PredictOptions()
_EXTRA = ("fastapi", "uvicorn", "python_multipart")


@dataclass(frozen=True)
class ServeOptions:
    """What may be asked of a reading room.

    Attributes:
        work: Its folder.
        models: Folders of runs or ensembles, or names of installed models; by default the one that
            is installed.
        store: The training patients of the model, for rounds of learning.
        host: Address to listen at.
        port: Likewise; 0 takes a free one.
        token: What clients must show; None asks for nothing, which loopback alone may do.
        predict: How scans are predicted, with the limits of one scan.
        upload_gib: GiB that one upload may hold.
        round_minutes: After which a round of learning is stopped.
        patience_seconds: How long a client may keep the server waiting.
        most_queued: Jobs that may wait.
        dicomweb: A PACS whose studies can be listed and opened; None for none.
        push: Whether the DICOM objects of cases may be sent there.
    """

    work: Path
    models: tuple[Path, ...] = ()
    store: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    predict: PredictOptions = _AS_PREDICT
    upload_gib: float = 2.0
    round_minutes: float = 240.0
    patience_seconds: float = 30.0
    most_queued: int = 200
    dicomweb: PacsLink | None = None
    push: bool = False

    @property
    def upload_bytes(self) -> int:
        """The most bytes of one upload."""
        return round(self.upload_gib * _GIB)

    @property
    def scan_bytes(self) -> int:
        """The most bytes that one scan may unpack to, as float32."""
        return round((self.predict.scan_gib or 2.0) * _GIB)

    @property
    def voxels(self) -> int:
        """The most voxels of one scan."""
        return self.scan_bytes // 4

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    def require_safe(self) -> None:
        """Other machines are let in by a token alone.

        Raises:
            ConfigError: If there is none.
        """
        if self.token is None and not self.is_loopback:
            raise ConfigError(
                "without a token everyone who reaches this address could read every scan",
                where=f"--host {self.host}",
                remedy="Leave out --no-token, or listen at 127.0.0.1.",
            )

    def work_folder(self) -> WorkFolder:
        """The folder, with the models found.

        Raises:
            PlggError: If a model or the store is none, or a PACS may not be asked.
        """
        models = tuple(model_folder(named) for named in self.models or (None,))
        for model in models:
            require_run(model)
        if self.store is not None:
            require_store(self.store)
        if self.push and self.dicomweb is None:
            raise ConfigError(
                "there is no PACS to send to", where="--push", remedy="Name it: --dicomweb URL."
            )
        if self.dicomweb is not None:
            require_pacs_extra()
            self.dicomweb.require_safe()
        pacs, push = self.dicomweb, self.push
        return WorkFolder(self.work, models, self.store, self.predict, pacs, push)


def require_extra() -> None:
    """What the server needs is installed.

    Raises:
        ConfigError: If not.
    """
    extras.require_extra("serve", _EXTRA)
