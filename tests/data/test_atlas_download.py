"""SRI24's download: what is kept, what is checked, what is refused in one line."""

import hashlib
import http.server
import threading
import zipfile

import numpy as np
import pytest

from helper import write_nifti
from plgg.core.errors import InputError, OutputError
from plgg.data.atlas import atlas as atlas_module
from plgg.data.atlas.atlas import load_atlas
from plgg.data.atlas.download import ARCHIVES, Archive, cache_folder, fetch
from plgg.data.atlas.grid import AFFINE, SHAPE


@pytest.fixture
def site(tmp_path):
    """A folder and the address it is served at."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name, content in members.items():
            packed.writestr(f"sri24/{name}.nii", content)
        packed.writestr("sri24/LICENSE", "CC BY-SA 3.0")


def archives(url):
    return [Archive(f"{url}/a.zip", "spgr.nii"), Archive(f"{url}/b.zip", "tissues.nii")]


def contents(folder):
    return tuple((folder / f"{name}.nii").read_bytes() for name in ("spgr", "tissues"))


def fetch_refused(url, kept, read=contents):
    with pytest.raises(InputError) as caught:
        fetch(archives(url), kept, read=read)
    message = str(caught.value)
    assert "\n" not in message
    assert url in message
    assert "by hand" in message
    assert "--atlas" in message
    assert not list(kept.parent.rglob("*.nii"))
    return message


def test_a_download_is_kept_and_not_made_twice(site, tmp_path):
    folder, url = site
    kept = tmp_path / "cache" / "sri24"
    zipped(folder / "a.zip", spgr=b"image", late=b"other")
    zipped(folder / "b.zip", tissues=b"tissues")
    assert fetch(archives(url), kept, read=contents) == (b"image", b"tissues")
    for path in folder.iterdir():
        path.unlink()
    assert fetch(archives(url), kept, read=contents) == (b"image", b"tissues")
    found = sorted(path.name for path in kept.parent.rglob("*"))
    assert found == ["spgr.nii", "sri24", "tissues.nii"]


def write_sri24(folder, *, white=3):
    """A brain of 1,320 mL that is a box; returns the map of tissues."""
    tissues = np.zeros(SHAPE, dtype=np.uint8)
    tissues[70:170, 75:195, 20:130] = 1
    tissues[80:160, 85:185, 30:120] = 2
    tissues[90:150, 95:175, 40:110] = white
    write_nifti(folder / "spgr.nii", np.where(tissues > 0, 7, 0).astype(np.int16), AFFINE)
    write_nifti(folder / "tissues.nii", tissues, AFFINE)
    return tissues


def test_sri24_is_downloaded_and_checked_voxel_for_voxel(site, tmp_path, monkeypatch):
    folder, url = site
    tissues = write_sri24(tmp_path / "same")
    zipped(folder / "a.zip", spgr=(tmp_path / "same" / "spgr.nii").read_bytes())
    zipped(folder / "b.zip", tissues=(tmp_path / "same" / "tissues.nii").read_bytes())
    monkeypatch.setenv("PLGG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(atlas_module, "ARCHIVES", archives(url))
    with pytest.raises(InputError, match=r"is not SRI24 as published.*by hand"):
        load_atlas("sri24")
    assert not list((tmp_path / "cache").rglob("*.nii"))
    same = load_atlas(tmp_path / "same")
    monkeypatch.setattr(atlas_module, "SRI24_SHA256", same.sha256)
    monkeypatch.setattr(atlas_module, "SRI24_TISSUES_SHA256", hashlib.sha256(tissues).hexdigest())
    atlas = load_atlas("sri24")
    assert (atlas.name, atlas.source, atlas.sha256) == ("SRI24", "sri24", same.sha256)
    np.testing.assert_array_equal(atlas.white, tissues == 3)


def test_a_cache_with_other_tissues_is_refused(tmp_path, monkeypatch):
    tissues = write_sri24(tmp_path / "same")
    write_sri24(tmp_path / "sri24", white=2)
    monkeypatch.setenv("PLGG_CACHE", str(tmp_path))
    monkeypatch.setattr(atlas_module, "SRI24_SHA256", load_atlas(tmp_path / "same").sha256)
    monkeypatch.setattr(atlas_module, "SRI24_TISSUES_SHA256", hashlib.sha256(tissues).hexdigest())
    with pytest.raises(InputError, match=r"not SRI24 as published.*Delete it"):
        load_atlas("sri24")


def test_a_download_that_is_refused_leaves_nothing(site, tmp_path):
    folder, url = site
    zipped(folder / "a.zip", spgr=b"image")
    zipped(folder / "b.zip", tissues=b"tissues")

    def read(_):
        raise InputError("wrong voxels")

    assert "wrong voxels" in fetch_refused(url, tmp_path / "sri24", read)


def test_bad_downloads_are_refused_in_one_line(site, tmp_path):
    folder, url = site
    kept = tmp_path / "sri24"
    assert "cannot be downloaded (HTTPError)" in fetch_refused(url, kept)
    (folder / "a.zip").write_text("<html>Please log in</html>")
    assert "no whole zip" in fetch_refused(url, kept)
    zipped(folder / "a.zip", spgr=bytes(range(256)) * 40)
    whole = (folder / "a.zip").read_bytes()
    for spoilt in (whole[:-40], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        (folder / "a.zip").write_bytes(spoilt)
        assert "no whole zip" in fetch_refused(url, kept)
    zipped(folder / "a.zip", late=b"other")
    assert "holds no spgr.nii" in fetch_refused(url, kept)


def test_without_a_network_one_line_says_what_to_do(tmp_path):
    message = fetch_refused("http://127.0.0.1:9", tmp_path / "sri24")
    assert "cannot be downloaded (ConnectionError)" in message


def test_a_cache_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        fetch(archives("http://127.0.0.1:9"), tmp_path / "file" / "sri24", read=contents)


def test_the_cache_is_the_users_own_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("PLGG_CACHE", raising=False)
    assert "plgg" in cache_folder().parts
    assert all(archive.url.startswith("https://www.nitrc.org/") for archive in ARCHIVES)
