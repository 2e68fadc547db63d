"""A real Orthanc on free ports of this machine, with a storage of its own; it can be killed."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "of-this-test"  # no secret


def require_orthanc():
    """Skip a test where there is none."""
    for path in (PROGRAM, PLUGIN):
        if not path.exists():
            pytest.skip(f"no {path}: apt-get install orthanc orthanc-dicomweb")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Orthanc:
    """An Orthanc; `kill` ends it as a power cut would, `start` takes its storage up again."""

    def __init__(self, folder, *, credentials=True, **more):
        self.folder = Path(folder)
        self.auth = (USER, PASSWORD) if credentials else None
        self.config, self.more = self.folder / "orthanc.json", more
        self.process, self.is_known = None, False
        self.log = self.folder / "orthanc.log"
        self._choose_ports()

    def _choose_ports(self):
        """Nobody holds them now; somebody else may have taken them when it starts."""
        self.http, self.dicom = free_port(), free_port()
        self.config.write_text(json.dumps(self._settings() | self.more))

    def _settings(self):
        return {
            "Name": "plgg tests",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": self.auth is not None,
            "RegisteredUsers": {USER: PASSWORD},
            "OverwriteInstances": False,
            "SaveJobs": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http}/dicom-web"

    @property
    def dimse(self):
        return f"dicom://ORTHANC@127.0.0.1:{self.dicom}"

    @property
    def rest(self):
        return httpx.Client(base_url=f"http://127.0.0.1:{self.http}", auth=self.auth, timeout=300)

    def start(self):
        for _ in range(5):
            self._launch()
            if self._answers():
                self.is_known = True
                return self
            if self.is_known:  # Whoever speaks with it knows its ports.
                break
            self._choose_ports()
        raise AssertionError(self.log.read_text()[-2000:])

    def _launch(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | {"TZ": "UTC"},
            )

    def _answers(self, seconds=500):
        """Wait until it does; False where it has ended."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, self.log.read_text()[-2000:]
            try:
                with self.rest as client:
                    client.get("/system").raise_for_status()
                with socket.create_connection(("127.0.0.1", self.dicom), timeout=60):
                    return self.process.poll() is None
            except (httpx.HTTPError, OSError):
                time.sleep(0.05)
        return False

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def clear(self):
        """Forget everything."""
        with self.rest as client:
            for patient in client.get("/patients").json():
                client.delete(f"/patients/{patient}").raise_for_status()

    def send(self, *paths):
        """Put files there by its own API."""
        with self.rest as client:
            for path in paths:
                client.post("/instances", content=Path(path).read_bytes()).raise_for_status()

    def objects(self, modality=None):
        """UIDs of all instances, or of those of one kind, as often as they are there."""
        with self.rest as client:
            found = client.get("/instances?expand").json()
            if modality is None:
                return sorted(one["MainDicomTags"]["SOPInstanceUID"] for one in found)
            series = {s["ID"]: s["MainDicomTags"] for s in client.get("/series?expand").json()}
            return sorted(
                one["MainDicomTags"]["SOPInstanceUID"]
                for one in found
                if series[one["ParentSeries"]].get("Modality") == modality
            )
