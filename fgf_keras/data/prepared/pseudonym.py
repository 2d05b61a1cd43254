"""The ids of patients in all output: those of the source, or keyed hashes."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path

from fgf_keras.data.dicom.rois import comparable
from fgf_keras.data.file_names import LONGEST_NAME, is_portable
from fgf_keras.errors import DataError

SHORTEST_KEY = 16
_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")
# Text as written by repr, in either kind of quotation marks.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Names:
    """Ids for output; each is a valid name of a file.

    With a key, an id becomes `p-` and the first 16 hexadecimal digits of HMAC-SHA256(key, id): without the
    key it cannot be traced back or guessed, and with the same key it is the same in every cohort. UIDs are
    replaced too, because a hospital's archive can find a patient by them, and text quoted from files is left
    out.

    Args:
        key_file: file with the secret key, without blanks at its ends; None leaves ids unchanged.

    Raises:
        DataError: the file cannot be read, or its key is shorter than 16 bytes.
    """

    def __init__(self, key_file: str | None) -> None:
        self._key = None if key_file is None else _read_key(Path(key_file))

    def patient(self, patient_id: str) -> str:
        """The id of a patient for output."""
        if self._key is None:
            return _safe(patient_id)
        return f"p-{_digest(self._key, 'patient', patient_id)[:16]}"

    def uid(self, uid: str) -> str:
        """The identifier of an image; with a key, a different valid UID."""
        if self._key is None or not uid:
            return uid
        return f"2.25.{int(_digest(self._key, 'uid', uid)[:32], 16)}"

    def reason(self, text: str) -> str:
        """A sentence about files; with a key, UIDs are replaced and quoted text is left out."""
        if self._key is None:
            return text
        return _QUOTED.sub("'…'", _UID.sub(lambda match: self.uid(match[0]), text))

    def regions(self, names: Iterable[str], public: Iterable[str]) -> list[str]:
        """Names of regions; with a key, only those in `public`, the names in the configuration."""
        if self._key is None:
            return list(names)
        allowed = {comparable(name) for name in public}
        return [name if comparable(name) in allowed else "…" for name in names]

    def fingerprint(self, content: bytes) -> str:
        """A hash; with a key, it can be computed from the content only with the key."""
        digest = (
            hashlib.sha256(content) if self._key is None else hmac.new(self._key, content, hashlib.sha256)
        )
        return digest.hexdigest()[:32]

    @property
    def check(self) -> str | None:
        """A value that is equal for equal keys and reveals nothing else about them; None without a key."""
        return None if self._key is None else _digest(self._key, "check", "")[:16]


def _digest(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise DataError(
            f"The key file {str(path)!r} cannot be read: {error.strerror}. Let data.pseudonymise name a file "
            "with a secret key, e.g. made by: openssl rand -hex 32 > key.txt"
        ) from None
    if len(key) < SHORTEST_KEY:
        raise DataError(
            f"The key in {str(path)!r} has {len(key)} bytes; a key of fewer than {SHORTEST_KEY} can be "
            "guessed. Make one by: openssl rand -hex 32 > key.txt"
        )
    return key


def _safe(patient_id: str) -> str:
    """The id if it is a valid file name; otherwise its valid characters and a hash that makes it unique."""
    if is_portable(patient_id):
        return patient_id
    readable = re.sub(r"[^\w-]+", "_", patient_id).strip("_-")[: LONGEST_NAME // 2]
    return f"{readable or 'patient'}-{hashlib.sha256(patient_id.encode()).hexdigest()[:8]}"
