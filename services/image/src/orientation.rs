//! Which way up a camera says its picture is: the orientation tag of EXIF (CIPA DC-008), the one thing
//! that is read of a picture's metadata.

/// What makes a picture upright: first rows and columns change places, then left and right, then top
/// and bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    pub transposed: bool,
    pub mirrored: bool,
    pub flipped: bool,
}

/// Number of the tag, and the type of its value.
const TAG: u16 = 0x0112;
const SHORT: u16 = 3;

impl Orientation {
    /// Of an EXIF block: a TIFF header and its first directory. What makes no sense is upright.
    pub fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        read(tiff).map(Self::from_value).unwrap_or_default()
    }

    /// Of the tag's value, 1 to 8.
    pub fn from_value(value: u16) -> Self {
        let (transposed, mirrored, flipped) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transposed,
            mirrored,
            flipped,
        }
    }
}

fn read(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let bytes: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let directory = if little {
        u32::from_le_bytes(bytes)
    } else {
        u32::from_be_bytes(bytes)
    };
    let directory = usize::try_from(directory).ok()?;
    let entries = directory.checked_add(2)?;
    (0..usize::from(short(directory)?))
        .map(|n| entries.saturating_add(n * 12))
        .find(|&entry| short(entry) == Some(TAG))
        .filter(|&entry| short(entry + 2) == Some(SHORT))
        .and_then(|entry| short(entry + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read_and_nonsense_is_upright() {
        let little = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x00\x01\x03\0\x01\0\0\0\x09\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(Orientation::from_exif(little), Orientation::from_value(6));
        assert_eq!(Orientation::from_exif(big), Orientation::from_value(8));
        for end in 0..little.len() - 2 {
            Orientation::from_exif(&little[..end]);
        }
        for bad in [
            &b"MM\0*\xff\xff\xff\xff"[..],
            b"MM\0*\0\0\0\x08\xff\xff",
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x07\0\x01\0\0\0\x06\0\0\0",
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
        ] {
            assert_eq!(Orientation::from_exif(bad), Orientation::default());
        }
    }
}
