"""The DICOM files of a phantom patient: a CT series, a structure set and a segmentation."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from fgf_keras.data.dicom.outline import outline
from fgf_keras.data.phantom.volume import PhantomVolume, Region

# A fixed date, so that the files depend only on the seed.
DATE, TIME = "20000101", "120000"
MAKER = "fgf_keras phantom"
# HU of the stored value 0. Detector noise goes below -1024, so unsigned values need a lower intercept.
INTERCEPT = {"signed": -1024, "unsigned": -8192}
# RT ROI Interpreted Type by the kind of region.
INTERPRETED = {"tumour": "GTV", "nodes": "GTV", "body": "EXTERNAL"}
# Decimals of mm in contours; rounding is harmless, because vertices are half a pixel away from pixel centres.
CONTOUR_DECIMALS = 4
CONTOUR_DATA = Tag("ContourData")


class PatientFiles:
    """Writes the files of one patient to a folder.

    Args:
        folder: an empty folder.
        volume: the patient.
        patient_id: also used for PatientName.
        entropy: texts that identify this patient of this cohort; UIDs are derived from them.
    """

    def __init__(
        self, folder: Path, volume: PhantomVolume, patient_id: str, entropy: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.volume = volume
        self.patient_id = patient_id
        self._entropy = entropy
        self._headers = [self._slice_header(index) for index in range(len(volume))]

    def write_ct(self) -> None:
        """Write one file per slice, with names that do not sort in the order of the slices."""
        folder = self._subfolder("CT")
        signed = self.volume.signed
        intercept = INTERCEPT["signed" if signed else "unsigned"]
        for index, place in enumerate(self.volume.order):
            dataset = Dataset()
            dataset.update(self._headers[index])
            dataset.file_meta = self._headers[index].file_meta
            stored = self.volume.hu(index).astype(np.int32) - intercept
            dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
            dataset.save_as(folder / f"1-{place + 1:03d}.dcm", enforce_file_format=True)

    def write_structure_set(self) -> None:
        """Write an RTSTRUCT with all regions; every contour references its slice."""
        dataset = self._patient_and_study("RTSTRUCT", RTStructureSetStorage, ImplicitVRLittleEndian)
        dataset.SeriesDescription = "Phantom regions"
        dataset.SeriesNumber, dataset.InstanceNumber, dataset.OperatorsName = 2, 1, ""
        dataset.StructureSetLabel = "PHANTOM"
        dataset.StructureSetDate, dataset.StructureSetTime = DATE, TIME
        dataset.ApprovalStatus = "UNAPPROVED"
        dataset.ReferencedFrameOfReferenceSequence = [self._referenced_frame()]
        regions = self.volume.regions
        dataset.StructureSetROISequence = [
            _item(
                ROINumber=region.number,
                ReferencedFrameOfReferenceUID=self._uid("frame"),
                ROIName=region.name,
                ROIGenerationAlgorithm="MANUAL",
            )
            for region in regions
        ]
        dataset.RTROIObservationsSequence = [
            _item(
                ObservationNumber=number,
                ReferencedROINumber=region.number,
                RTROIInterpretedType=INTERPRETED[region.kind],
                ROIInterpreter="",
            )
            for number, region in enumerate(regions, start=1)
        ]
        # In reverse order, because regions are matched to contours by number only.
        dataset.ROIContourSequence = [
            _item(ReferencedROINumber=region.number, ContourSequence=list(self._contours(region)))
            for region in reversed(regions)
        ]
        dataset.save_as(self._subfolder("RTSTRUCT") / "1-1.dcm", enforce_file_format=True)

    def write_segmentation(self) -> None:
        """Write a binary SEG of the tumour and one other kind of region, for slices that are not empty."""
        # Slow to import, and only needed here.
        from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
        from pydicom.sr.codedict import codes

        coded = {
            "tumour": (codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.NeoplasmPrimary),
            "nodes": (codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.NeoplasmSecondary),
            "body": (codes.SCT.AnatomicalStructure, codes.SCT.EntireBody),
        }
        regions = self._segmented()
        tumour = next(region for region in regions if region.kind == "tumour")
        slices = sorted(set(tumour.planes).union(*(r.planes for r in regions if r.kind == "nodes")))
        empty = np.zeros(self.volume.shape, bool)
        pixels = [[region.planes.get(index, empty) for region in regions] for index in slices]
        segmentation = Segmentation(
            source_images=[self._headers[index] for index in slices],
            pixel_array=np.moveaxis(np.array(pixels, np.uint8), 1, -1),
            segmentation_type="BINARY",
            segment_descriptions=[
                SegmentDescription(
                    number, region.name, *coded[region.kind], SegmentAlgorithmTypeValues.MANUAL
                )
                for number, region in enumerate(regions, start=1)
            ],
            series_instance_uid=self._uid("SEG series"),
            series_number=3,
            sop_instance_uid=self._uid("SEG"),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MAKER,
            software_versions="1",
            device_serial_number="1",
            series_description="Phantom segmentation",
        )
        # Replaces the time of writing and a random identifier.
        constants = {
            "InstanceCreationDate": DATE,
            "InstanceCreationTime": TIME,
            "ContentDate": DATE,
            "ContentTime": TIME,
            "ContributionDateTime": DATE + TIME,
            "DimensionOrganizationUID": self._uid("SEG dimensions"),
        }
        for element in segmentation.iterall():
            if element.keyword in constants:
                element.value = constants[element.keyword]
        segmentation.save_as(self._subfolder("SEG") / "1-1.dcm", enforce_file_format=True)

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _uid(self, *what: object) -> UID:
        return generate_uid(entropy_srcs=[*self._entropy, *map(str, what)])

    def _patient_and_study(self, modality: str, sop_class: UID, syntax: UID, *what: object) -> Dataset:
        """The modules that all objects share; `what` distinguishes instances of one modality."""
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, self._uid(modality, *what)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PatientID, dataset.PatientName = self.patient_id, self.patient_id.title().replace("-", "^")
        dataset.PatientBirthDate, dataset.PatientSex = "", "O"
        dataset.StudyInstanceUID = self._uid("study")
        dataset.StudyDate, dataset.StudyTime = DATE, TIME
        dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
        dataset.Modality, dataset.SeriesInstanceUID = modality, self._uid(modality, "series")
        dataset.Manufacturer = MAKER
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = self._uid("frame"), ""
        return dataset

    def _slice_header(self, index: int) -> Dataset:
        volume = self.volume
        dataset = self._patient_and_study("CT", CTImageStorage, ExplicitVRLittleEndian, index)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesDescription, dataset.SeriesNumber = "Phantom CT", 1
        dataset.AcquisitionNumber, dataset.KVP = 1, "120"
        dataset.InstanceNumber = int(volume.numbers[index])
        dataset.ContentDate, dataset.ContentTime = DATE, TIME
        dataset.PatientPosition = volume.position
        dataset.Rows, dataset.Columns = volume.shape
        dataset.PixelSpacing = _decimals(volume.spacing[1:])
        dataset.SliceThickness = _decimals(volume.spacing[:1])[0]
        dataset.ImageOrientationPatient = _decimals(volume.cosines.ravel())
        dataset.ImagePositionPatient = _decimals(volume.corner(index))
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = int(volume.signed)
        dataset.RescaleIntercept = INTERCEPT["signed" if volume.signed else "unsigned"]
        dataset.RescaleSlope, dataset.RescaleType = 1, "HU"
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        return dataset

    def _referenced_frame(self) -> Dataset:
        series = _item(
            SeriesInstanceUID=self._headers[0].SeriesInstanceUID,
            ContourImageSequence=[self._image(index) for index in range(len(self.volume))],
        )
        study = _item(
            # The standard requires the retired Detached Study Management here.
            ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
            ReferencedSOPInstanceUID=self._uid("study"),
            RTReferencedSeriesSequence=[series],
        )
        return _item(FrameOfReferenceUID=self._uid("frame"), RTReferencedStudySequence=[study])

    def _image(self, index: int) -> Dataset:
        return _item(
            ReferencedSOPClassUID=CTImageStorage,
            ReferencedSOPInstanceUID=self._headers[index].SOPInstanceUID,
        )

    def _contours(self, region: Region) -> Iterator[Dataset]:
        polygons: dict[int, list[np.ndarray]] = {}
        for index, plane in region.planes.items():
            # Slices often share one mask.
            if id(plane) not in polygons:
                polygons[id(plane)] = outline(plane)
            for polygon in polygons[id(plane)]:
                contour = _item(
                    ContourImageSequence=[self._image(index)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(polygon),
                )
                contour[CONTOUR_DATA] = _contour_data(self._to_patient(index, polygon))
                # Otherwise pydicom converts the bytes to numbers before writing them.
                contour.set_original_encoding(True, True, default_encoding)
                yield contour

    def _to_patient(self, index: int, polygon: np.ndarray) -> np.ndarray:
        """Convert (N, 2) row and column to (N, 3) patient mm."""
        steps = polygon * self.volume.spacing[1:]
        return self.volume.corner(index) + steps[:, ::-1] @ self.volume.cosines

    def _segmented(self) -> list[Region]:
        """The tumour and the nodes, or the body if there are no nodes, in the order of the regions."""
        regions = self.volume.regions
        decoy = "nodes" if any(region.kind == "nodes" for region in regions) else "body"
        return [region for region in regions if region.kind in ("tumour", decoy)]


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _decimals(values: Iterable[float]) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]


def _contour_data(points: np.ndarray) -> RawDataElement:
    """The coordinates as raw bytes of the file, because pydicom's own conversion is slow."""
    values = (np.round(points, CONTOUR_DECIMALS) + 0.0).ravel().tolist()
    text = ("\\".join(["%.10g"] * len(values)) % tuple(values)).encode()
    text += b" " * (len(text) % 2)
    return RawDataElement(CONTOUR_DATA, "DS", len(text), text, 0, True, True)
