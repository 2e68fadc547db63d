"""A server that is killed in the middle of a push and started again: complete, nothing twice."""

import threading
import time

import pytest
from orthanc_server import Orthanc, require_orthanc
from studies import uid_of

from dicom_seg import blob
from dicom_series import write_series
from helper import make_affine
from plgg.core.volume import Volume
from plgg.data.dicom.read import read_dicom
from plgg.data.dicom.segmentation import write_segmentation
from plgg.pacs.archive import PacsLink
from plgg.pacs.errors import UnreachableError
from plgg.pacs.push import push
from plgg.pacs.retry import Retries

N_CASES = 12


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Folders of many cases, each with a segmentation of its own."""
    import numpy as np

    root = tmp_path_factory.mktemp("cases")
    shape = (14, 11, 7)
    scan = Volume(
        np.arange(np.prod(shape), dtype=np.uint16).reshape(shape),
        make_affine((0.9, 1.1, 5.0), axes="LPS", turn_degrees=(9.0, 4.0, 0.0), shape=shape),
    )
    for number in range(N_CASES):
        case = root / f"P{number:02d}"
        write_series(root.parent / "series" / case.name, scan)
        mask = blob(read_dicom(root.parent / "series" / case.name).volume)
        case.mkdir()
        (case / "result.json").write_text("{}")
        write_segmentation(case / "segmentation.dcm", mask, root.parent / "series" / case.name)
    return root


@pytest.fixture
def server(tmp_path):
    require_orthanc()
    orthanc = Orthanc(tmp_path).start()
    yield orthanc
    orthanc.kill()


class Deadly:
    """A watch that kills the server once so many objects were sent."""

    def __init__(self, server, after):
        self.server, self.after, self.killed = server, after, threading.Event()

    def task(self, _label):
        from contextlib import contextmanager

        @contextmanager
        def told():
            yield self.tell

        return told()

    def tell(self, done, _total, _failed=0):
        if done == self.after:
            self.server.kill()
            self.killed.set()


@pytest.mark.parametrize("kind", ["web", "dimse"])
def test_killed_in_mid_push_and_started_again(server, cases, kind):
    url = server.url if kind == "web" else server.dimse
    link = PacsLink(url, retries=Retries(1000, 0.1, 0.5))
    deadly, found = Deadly(server, 5), []
    pushing = threading.Thread(target=lambda: found.extend(push(link, [cases], deadly)))
    pushing.start()
    assert deadly.killed.wait(500)
    time.sleep(0.5)
    server.start()
    pushing.join(500)
    assert [one.state for one in found] == ["sent"] * N_CASES
    wanted = sorted(uid_of(path) for path in cases.rglob("segmentation.dcm"))
    assert server.objects() == wanted
    assert [one.state for one in push(link, [cases])] == ["there"] * N_CASES
    assert server.objects() == wanted


def test_killed_for_good_it_is_told_and_the_command_goes_on_later(server, cases):
    link = PacsLink(server.url, retries=Retries(3, 0.05, 0.1))
    with pytest.raises(UnreachableError, match="does not answer"):
        push(link, [cases], Deadly(server, 5))
    server.start()
    states = [one.state for one in push(link, [cases])]
    assert states == ["there"] * 5 + ["sent"] * (N_CASES - 5)
    assert server.objects() == sorted(uid_of(path) for path in cases.rglob("segmentation.dcm"))


def test_an_answer_that_is_lost_after_the_object_was_stored(server, cases, monkeypatch):
    """The server took the object and died before it could say so."""
    from plgg.pacs.web import WebArchive

    store, lost = WebArchive.store, []

    def store_and_lose(self, path, instance):
        store(self, path, instance)
        if len(lost) < 3:
            lost.append(instance.uid)
            raise UnreachableError("gone")

    monkeypatch.setattr(WebArchive, "store", store_and_lose)
    link = PacsLink(server.url, retries=Retries(3, 0.01, 0.02))
    assert {one.state for one in push(link, [cases])} == {"sent"}
    assert len(lost) == 3
    assert len(server.objects()) == N_CASES
