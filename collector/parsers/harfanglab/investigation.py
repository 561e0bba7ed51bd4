"""Investigation results: the binaries a job found."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "investigation"),
    Rule("event.kind", constant="event", profile="documented"),
    *shaped("event.type", "info"),
    Rule("file.path", "binaryinfo.fullpath"),
    Rule("file.name", "binaryinfo.filename"),
    Rule("file.hash.md5", "binaryinfo.binaryinfo.md5"),
    Rule("file.hash.sha1", "binaryinfo.binaryinfo.sha1"),
    Rule("file.hash.sha256", "binaryinfo.binaryinfo.sha256"),
    Rule("file.pe.description", "binaryinfo.binaryinfo.pe_file_description"),
    Rule("file.pe.original_file_name", "binaryinfo.binaryinfo.pe_original_filename"),
    Rule("file.pe.file_version", "binaryinfo.binaryinfo.pe_file_version"),
    Rule("file.pe.company", "binaryinfo.binaryinfo.pe_company_name"),
    Rule("file.pe.product", "binaryinfo.binaryinfo.pe_product_name"),
    Rule("file.pe.imphash", "binaryinfo.binaryinfo.pe_imphash"),
)
