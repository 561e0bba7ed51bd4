"""Investigation results of HarfangLab."""

from tests.support import harfanglab_fields as mapped

FOUND = {
    "log_type": "investigation",
    "binaryinfo": {
        "fullpath": "C:\\tmp\\x.exe",
        "filename": "x.exe",
        "binaryinfo": {
            "md5": "aa",
            "sha1": "bb",
            "sha256": "cc",
            "pe_file_description": "An example",
            "pe_original_filename": "X.EXE",
            "pe_file_version": "1.2",
            "pe_company_name": "ACME",
            "pe_product_name": "X",
            "pe_imphash": "IMP",
        },
    },
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "investigation",
    "event.type": ["info"],
    "file.path": "C:\\tmp\\x.exe",
    "file.name": "x.exe",
    "file.hash.md5": "aa",
    "file.hash.sha1": "bb",
    "file.hash.sha256": "cc",
    "file.pe.description": "An example",
    "file.pe.original_file_name": "X.EXE",
    "file.pe.file_version": "1.2",
    "file.pe.company": "ACME",
    "file.pe.product": "X",
    "file.pe.imphash": "IMP",
    "related.hash": ["aa", "bb", "cc"],
}


def test_a_binary_that_was_found():
    """With its hashes and what its header says."""
    assert mapped("ecs", **FOUND) == ECS
    assert mapped("documented", **FOUND) == ECS | {"event.kind": "event", "event.type": "info"}


def test_a_binary_that_is_no_object():
    """The event comes out all the same."""
    for odd in ("x.exe", ["x"], {"binaryinfo": "y"}, {"filename": {}}):
        found = mapped("ecs", log_type="investigation", binaryinfo=odd)
        assert found["event.type"] == ["info"]
        assert not [name for name in found if name.startswith("file.")]
