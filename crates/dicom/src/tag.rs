//! The data elements that are read and written: tags, names and value representations, of PS3.6 of the standard.

/// Group and element of a data element, as `0xGGGGEEEE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    pub(crate) fn group(self) -> u32 {
        self.0 >> 16
    }
}

/// A value representation by its two letters, such as `DS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vr(pub(crate) [u8; 2]);

impl Vr {
    pub(crate) const SEQUENCE: Self = Self(*b"SQ");
    pub(crate) const UNKNOWN: Self = Self(*b"UN");

    /// Whether its length takes four bytes in the explicit syntaxes (PS3.5, 7.1.2).
    pub(crate) fn is_long(self) -> bool {
        let long = [
            b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT",
            b"UV",
        ];
        long.contains(&&self.0)
    }

    /// Bytes of one number, whose order depends on the syntax; 1 for text.
    pub(crate) fn width(self) -> usize {
        match &self.0 {
            b"US" | b"SS" | b"OW" | b"AT" => 2,
            b"UL" | b"SL" | b"FL" | b"OF" | b"OL" => 4,
            b"FD" | b"OD" | b"SV" | b"UV" | b"OV" => 8,
            _ => 1,
        }
    }

    /// Whether what it holds is text.
    pub(crate) fn is_text(self) -> bool {
        self.width() == 1 && !matches!(&self.0, b"OB" | b"SQ" | b"UN")
    }

    /// What fills a value to an even length.
    pub(crate) fn padding(self) -> u8 {
        if self.is_text() && &self.0 != b"UI" { b' ' } else { 0 }
    }
}

macro_rules! dictionary {
    ($($name:ident = $tag:literal, $vr:literal;)*) => {
        impl Tag {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self($tag);)*
        }
        /// What is kept of a file.
        const DICTIONARY: &[(Tag, Vr)] = &[$((Tag($tag), Vr(*$vr)),)*];
    };
}

dictionary! {
    TRANSFER_SYNTAX_UID = 0x0002_0010, b"UI";
    SPECIFIC_CHARACTER_SET = 0x0008_0005, b"CS";
    IMAGE_TYPE = 0x0008_0008, b"CS";
    INSTANCE_CREATION_DATE = 0x0008_0012, b"DA";
    INSTANCE_CREATION_TIME = 0x0008_0013, b"TM";
    SOP_CLASS_UID = 0x0008_0016, b"UI";
    SOP_INSTANCE_UID = 0x0008_0018, b"UI";
    STUDY_DATE = 0x0008_0020, b"DA";
    SERIES_DATE = 0x0008_0021, b"DA";
    CONTENT_DATE = 0x0008_0023, b"DA";
    STUDY_TIME = 0x0008_0030, b"TM";
    SERIES_TIME = 0x0008_0031, b"TM";
    CONTENT_TIME = 0x0008_0033, b"TM";
    ACCESSION_NUMBER = 0x0008_0050, b"SH";
    MODALITY = 0x0008_0060, b"CS";
    MANUFACTURER = 0x0008_0070, b"LO";
    REFERRING_PHYSICIAN_NAME = 0x0008_0090, b"PN";
    CODE_VALUE = 0x0008_0100, b"SH";
    CODING_SCHEME_DESIGNATOR = 0x0008_0102, b"SH";
    CODE_MEANING = 0x0008_0104, b"LO";
    STUDY_DESCRIPTION = 0x0008_1030, b"LO";
    SERIES_DESCRIPTION = 0x0008_103E, b"LO";
    MANUFACTURER_MODEL_NAME = 0x0008_1090, b"LO";
    REFERENCED_SERIES_SEQUENCE = 0x0008_1115, b"SQ";
    REFERENCED_SOP_CLASS_UID = 0x0008_1150, b"UI";
    REFERENCED_SOP_INSTANCE_UID = 0x0008_1155, b"UI";
    REFERENCED_FRAME_NUMBER = 0x0008_1160, b"IS";
    REFERENCED_INSTANCE_SEQUENCE = 0x0008_114A, b"SQ";
    SOURCE_IMAGE_SEQUENCE = 0x0008_2112, b"SQ";
    FRAME_TYPE = 0x0008_9007, b"CS";
    DERIVATION_IMAGE_SEQUENCE = 0x0008_9124, b"SQ";
    DERIVATION_CODE_SEQUENCE = 0x0008_9215, b"SQ";
    PATIENT_NAME = 0x0010_0010, b"PN";
    PATIENT_ID = 0x0010_0020, b"LO";
    ISSUER_OF_PATIENT_ID = 0x0010_0021, b"LO";
    PATIENT_BIRTH_DATE = 0x0010_0030, b"DA";
    PATIENT_SEX = 0x0010_0040, b"CS";
    SLICE_THICKNESS = 0x0018_0050, b"DS";
    SPACING_BETWEEN_SLICES = 0x0018_0088, b"DS";
    DEVICE_SERIAL_NUMBER = 0x0018_1000, b"LO";
    SOFTWARE_VERSIONS = 0x0018_1020, b"LO";
    STUDY_INSTANCE_UID = 0x0020_000D, b"UI";
    SERIES_INSTANCE_UID = 0x0020_000E, b"UI";
    STUDY_ID = 0x0020_0010, b"SH";
    SERIES_NUMBER = 0x0020_0011, b"IS";
    INSTANCE_NUMBER = 0x0020_0013, b"IS";
    IMAGE_POSITION_PATIENT = 0x0020_0032, b"DS";
    IMAGE_ORIENTATION_PATIENT = 0x0020_0037, b"DS";
    FRAME_OF_REFERENCE_UID = 0x0020_0052, b"UI";
    POSITION_REFERENCE_INDICATOR = 0x0020_1040, b"LO";
    FRAME_CONTENT_SEQUENCE = 0x0020_9111, b"SQ";
    PLANE_POSITION_SEQUENCE = 0x0020_9113, b"SQ";
    PLANE_ORIENTATION_SEQUENCE = 0x0020_9116, b"SQ";
    DIMENSION_INDEX_VALUES = 0x0020_9157, b"UL";
    DIMENSION_ORGANIZATION_UID = 0x0020_9164, b"UI";
    DIMENSION_INDEX_POINTER = 0x0020_9165, b"AT";
    FUNCTIONAL_GROUP_POINTER = 0x0020_9167, b"AT";
    DIMENSION_ORGANIZATION_SEQUENCE = 0x0020_9221, b"SQ";
    DIMENSION_INDEX_SEQUENCE = 0x0020_9222, b"SQ";
    SAMPLES_PER_PIXEL = 0x0028_0002, b"US";
    PHOTOMETRIC_INTERPRETATION = 0x0028_0004, b"CS";
    NUMBER_OF_FRAMES = 0x0028_0008, b"IS";
    ROWS = 0x0028_0010, b"US";
    COLUMNS = 0x0028_0011, b"US";
    PIXEL_SPACING = 0x0028_0030, b"DS";
    BITS_ALLOCATED = 0x0028_0100, b"US";
    BITS_STORED = 0x0028_0101, b"US";
    HIGH_BIT = 0x0028_0102, b"US";
    PIXEL_REPRESENTATION = 0x0028_0103, b"US";
    RESCALE_INTERCEPT = 0x0028_1052, b"DS";
    RESCALE_SLOPE = 0x0028_1053, b"DS";
    RESCALE_TYPE = 0x0028_1054, b"LO";
    LOSSY_IMAGE_COMPRESSION = 0x0028_2110, b"CS";
    MODALITY_LUT_SEQUENCE = 0x0028_3000, b"SQ";
    PIXEL_MEASURES_SEQUENCE = 0x0028_9110, b"SQ";
    PIXEL_VALUE_TRANSFORMATION_SEQUENCE = 0x0028_9145, b"SQ";
    SEGMENTATION_TYPE = 0x0062_0001, b"CS";
    SEGMENT_SEQUENCE = 0x0062_0002, b"SQ";
    SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE = 0x0062_0003, b"SQ";
    SEGMENT_NUMBER = 0x0062_0004, b"US";
    SEGMENT_LABEL = 0x0062_0005, b"LO";
    SEGMENT_ALGORITHM_TYPE = 0x0062_0008, b"CS";
    SEGMENT_ALGORITHM_NAME = 0x0062_0009, b"LO";
    SEGMENT_IDENTIFICATION_SEQUENCE = 0x0062_000A, b"SQ";
    REFERENCED_SEGMENT_NUMBER = 0x0062_000B, b"US";
    SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE = 0x0062_000F, b"SQ";
    MAXIMUM_FRACTIONAL_VALUE = 0x0062_000E, b"US";
    SEGMENTS_OVERLAP = 0x0062_0013, b"CS";
    CONTENT_LABEL = 0x0070_0080, b"CS";
    CONTENT_DESCRIPTION = 0x0070_0081, b"LO";
    CONTENT_CREATOR_NAME = 0x0070_0084, b"PN";
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE = 0x5200_9229, b"SQ";
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE = 0x5200_9230, b"SQ";
    PIXEL_DATA = 0x7FE0_0010, b"OW";
    ITEM = 0xFFFE_E000, b"UN";
    ITEM_DELIMITATION = 0xFFFE_E00D, b"UN";
    SEQUENCE_DELIMITATION = 0xFFFE_E0DD, b"UN";
    PURPOSE_OF_REFERENCE_CODE_SEQUENCE = 0x0040_A170, b"SQ";
}

/// The value representation of an element that is read; none of others, which are passed over.
pub(crate) fn vr_of(tag: Tag) -> Option<Vr> {
    DICTIONARY.iter().find(|(known, _)| *known == tag).map(|(_, vr)| *vr)
}
