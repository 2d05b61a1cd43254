"""What patients are called in what is written: as the source calls them, or by a keyed hash."""

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
# As repr writes text: in one kind of quotation marks or the other.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Names:
    """Ids as they may be written: each is safe as the name of a file.

    With a key, an id becomes `p-` and the first 16 hexadecimal digits of HMAC-SHA256(key, id): without the
    key nobody can tell or try out who it is, with the key it is the same in every cohort. UIDs are replaced
    too, since a hospital's archive finds a patient by them, and text quoted from files is left out.

    Args:
        key_file: file with the secret key, blanks at its ends aside; None leaves ids as they are.

    Raises:
        DataError: the file cannot be read, or its key is shorter than 16 bytes.
    """

    def __init__(self, key_file: str | None):
        self._key = None if key_file is None else _read_key(Path(key_file))

    def patient(self, patient_id: str) -> str:
        """The name of a patient."""
        return _safe(patient_id) if self._key is None else f"p-{self._digest('patient', patient_id)[:16]}"

    def uid(self, uid: str) -> str:
        """The identifier of an image; with a key another one, valid as a UID."""
        if self._key is None or not uid:
            return uid
        return f"2.25.{int(self._digest('uid', uid)[:32], 16)}"

    def reason(self, text: str) -> str:
        """A sentence about files; with a key without their UIDs and without what it quotes from them."""
        if self._key is None:
            return text
        return _QUOTED.sub("'…'", _UID.sub(lambda found: self.uid(found[0]), text))

    def regions(self, names: Iterable[str], known: Iterable[str]) -> list[str]:
        """Names of regions; with a key only those that are known already, from the configuration."""
        if self._key is None:
            return list(names)
        known = {comparable(name) for name in known}
        return [name if comparable(name) in known else "…" for name in names]

    def fingerprint(self, content: bytes) -> str:
        """A hash; with a key nobody else can compute it from the same content."""
        digest = (
            hashlib.sha256(content) if self._key is None else hmac.new(self._key, content, hashlib.sha256)
        )
        return digest.hexdigest()[:32]

    @property
    def check(self) -> str | None:
        """Tells whether two keys are the same, and nothing else about them; None without a key."""
        return None if self._key is None else self._digest("check", "")[:16]

    def _digest(self, purpose, text):
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _read_key(path):
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


def _safe(patient_id):
    """The id itself where it may name a file, else what is left of it with a hash that keeps it apart."""
    if is_portable(patient_id):
        return patient_id
    readable = re.sub(r"[^\w-]+", "_", patient_id).strip("_-")[: LONGEST_NAME // 2]
    return f"{readable or 'patient'}-{hashlib.sha256(patient_id.encode()).hexdigest()[:8]}"
