"""`ServeOptions`: options of a reading room."""

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
    """Options of a reading room.

    Attributes:
        work: Work folder of the room.
        models: Folders of runs or ensembles, or names of installed models; by default the one that
            is installed.
        store: Store with the training patients of the model, for fine-tuning rounds.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        token: Access token of the clients; None for no token, which is allowed on loopback only.
        predict: How scans are predicted, with the limits of one scan.
        upload_gib: Largest upload in GiB.
        round_minutes: Time limit of a fine-tuning round.
        patience_seconds: Timeout for a client that neither sends nor reads.
        most_queued: Largest number of waiting jobs.
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
        """Require a token where other machines can reach the server.

        Raises:
            ConfigError: If there is no token.
        """
        if self.token is None and not self.is_loopback:
            raise ConfigError(
                "without a token everyone who reaches this address could read every scan",
                where=f"--host {self.host}",
                remedy="Leave out --no-token, or listen at 127.0.0.1.",
            )

    def work_folder(self) -> WorkFolder:
        """Make the record of the work folder, with the folders of the models.

        Raises:
            PlggError: If a model or the store cannot be used, or the PACS options are not safe.
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
    """Check that the packages of the extra `serve` are installed.

    Raises:
        ConfigError: If one is missing.
    """
    extras.require_extra("serve", _EXTRA)
