"""Small DICOM files with a known content, written with pydicom alone and none of the code under test."""

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pydicom.valuerep import DS

CT, RTSTRUCT, SEG = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.66.4",
)

# Other ways to write the same values than explicit VR little endian.
LOSSLESS = [
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLosslessSV1,
]


def _rotation(z, x):
    a, b = np.radians([z, x])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_z


# Direction cosines of the column index and of the row index, as scanners write them.
ORIENTATIONS = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": tuple(_rotation(25, 40)[:, :2].T.ravel()),
}

# An L, so that no mirroring or transposing goes unnoticed; vertices (row, column) between pixel centres.
L_SHAPE = [(1.6, 2.7), (1.6, 6.3), (6.4, 6.3), (6.4, 11.8), (9.3, 11.8), (9.3, 2.7)]


def l_mask(shape):
    """(rows, columns) bool, the pixels whose centre lies inside L_SHAPE."""
    mask = np.zeros(shape, bool)
    mask[2:10, 3:7] = True
    mask[7:10, 3:12] = True
    return mask


class Stack:
    """A CT series on disk, its geometry and the ids that other files refer to."""

    def __init__(
        self, orientation="HFS", shape=(5, 12, 16), spacing=(0.9, 0.7), heights=None, origin=(-40, 30, 7)
    ):
        self.cosines = np.array(ORIENTATIONS[orientation], float).reshape(2, 3)
        self.normal = np.cross(*self.cosines)
        self.shape, self.spacing, self.origin = shape, spacing, np.array(origin, float)
        self.heights = np.arange(shape[0]) * 2.5 if heights is None else np.array(heights, float)
        self.study, self.series, self.frame = generate_uid(), generate_uid(), generate_uid()
        self.sops = [generate_uid() for _ in self.heights]
        self.stored = np.random.default_rng(1).integers(0, 2000, (len(self.heights), *shape[1:]))
        self.files = []

    def position(self, index):
        return self.origin + self.heights[index] * self.normal

    def points(self, vertices, height):
        """(row, column) vertices in the plane at a height above the first slice to patient mm."""
        vertices = np.asarray(vertices, float)
        return (
            self.origin
            + height * self.normal
            + vertices[:, 1:] * self.spacing[1] * self.cosines[0]
            + vertices[:, :1] * self.spacing[0] * self.cosines[1]
        )

    def dataset(self, index, **changes):
        """The slice as a dataset; a change to None removes the element."""
        ds = _file(CT, "CT", self.study, self.series, self.sops[index])
        signed = changes.get("PixelRepresentation", 0)
        stored = changes.pop("stored", self.stored[index])
        elements = {
            "FrameOfReferenceUID": self.frame,
            "Rows": self.shape[1],
            "Columns": self.shape[2],
            "PixelSpacing": ds_list(self.spacing),
            "SliceThickness": "2.5",
            "ImagePositionPatient": ds_list(self.position(index)),
            "ImageOrientationPatient": ds_list(self.cosines.ravel()),
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 0,
            "RescaleSlope": "1",
            "RescaleIntercept": "-1024",
            "PixelData": stored.astype("<i2" if signed else "<u2").tobytes(),
        }
        for keyword, value in {**elements, **changes}.items():
            if value is None:
                if keyword in ds:
                    delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        return ds

    def write(self, folder, changes=None):
        """Write all slices under names that sort the other way round; `changes` maps index to elements."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.files = []
        for index in range(len(self.heights)):
            path = Path(folder, f"{99 - index:02d}.dcm")
            self.dataset(index, InstanceNumber=7, **(changes or {}).get(index, {})).save_as(path)
            self.files.append(path)
        return self

    def structure_set(self, path, rois, **changes):
        """Write an RTSTRUCT of [(number, name, contours)]; a contour is (N, 3) mm or (mm, kind, uids)."""
        ds = _file(RTSTRUCT, "RTSTRUCT", self.study, generate_uid(), generate_uid())
        ds.StructureSetROISequence, ds.ROIContourSequence = [], []
        for number, name, contours in rois:
            roi = Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, self.frame
            ds.StructureSetROISequence.append(roi)
            if contours is None:
                continue
            drawn = Dataset()
            drawn.ReferencedROINumber = number
            if contours:
                drawn.ContourSequence = [_contour(c) for c in contours]
            # In front of the others: joining by position in the file must not work.
            ds.ROIContourSequence.insert(0, drawn)
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(path)
        return path

    def segmentation(self, path, frames, labels=("lesion",), *, fractional=None, **changes):
        """Write a SEG; `frames` is [(segment, slice index, (rows, columns) pixels)]."""
        ds = _file(SEG, "SEG", self.study, generate_uid(), generate_uid())
        pixels = np.array([frame[2] for frame in frames])
        ds.FrameOfReferenceUID = self.frame
        ds.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
        ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.BitsAllocated = ds.BitsStored = 8 if fractional else 1
        ds.HighBit = ds.BitsStored - 1
        if fractional:
            ds.MaximumFractionalValue, ds.SegmentationFractionalType = fractional, "PROBABILITY"
            data = pixels.astype(np.uint8).tobytes()
        else:
            data = np.packbits(pixels.ravel().astype(np.uint8), bitorder="little").tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds.SegmentSequence = [_item(SegmentNumber=i + 1, SegmentLabel=name) for i, name in enumerate(labels)]
        orientation = _item(ImageOrientationPatient=ds_list(self.cosines.ravel()))
        measures = _item(PixelSpacing=ds_list(self.spacing), SliceThickness="2.5")
        ds.SharedFunctionalGroupsSequence = [
            _item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
        ]
        ds.PerFrameFunctionalGroupsSequence = [
            _item(
                PlanePositionSequence=[_item(ImagePositionPatient=ds_list(self.position(index)))],
                SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=segment)],
            )
            for segment, index, _ in frames
        ]
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(path)
        return path


def write_as(dataset, path, syntax):
    """Write a dataset in another transfer syntax; compressed ones hold the same pixels."""
    if syntax == RLELossless:
        dataset.compress(syntax)
    elif syntax.is_encapsulated:
        dataset.save_as(path)
        # gdcm also changes other elements: only its pixels are taken.
        dataset.PixelData = _compressed(path, syntax)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        dataset.save_as(path)
        return path
    dataset.file_meta.TransferSyntaxUID = syntax
    if (
        syntax == ExplicitVRBigEndian
        and "PixelData" in dataset
        and dataset.get("BitsAllocated") not in (1, 8)
    ):
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    # pydicom refuses to change the byte order of what it has read, unless it knows both.
    dataset.set_original_encoding(implicit, little)
    dataset.save_as(path, implicit_vr=implicit, little_endian=little)
    return path


def _compressed(path, syntax):
    import gdcm

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return dcmread(path).PixelData


def ds_list(values):
    """Decimal strings of 16 characters at most, as the standard has them."""
    return [str(DS(float(value), auto_format=True)) for value in values]


def _contour(contour):
    points, kind, uids = contour if isinstance(contour, tuple) else (contour, "CLOSED_PLANAR", ())
    item = _item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=ds_list(np.asarray(points).ravel()),
    )
    if uids:
        item.ContourImageSequence = [_item(ReferencedSOPInstanceUID=uid) for uid in uids]
    return item


def _item(**elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _file(sop_class, modality, study, series, sop):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop_class, sop, modality
    ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "P-1", study, series
    return ds
