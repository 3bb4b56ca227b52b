//! What decoders don't tell before they allocate: how a JPEG is split into scans (ITU-T T.81, annex B),
//! and the size of the picture proper inside a WebP file (RFC 9649, section 2).

/// The frame of a JPEG.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u64,
    /// Does the picture come in more than one scan?
    pub waits: bool,
}

/// Reads a JPEG up to its first scan.
pub fn jpeg(bytes: &[u8]) -> Option<Frame> {
    let mut frame: Option<Frame> = None;
    let mut at = 2;
    loop {
        // Markers may be padded with more 0xff.
        while bytes.get(at)? == &0xff && bytes.get(at + 1)? == &0xff {
            at += 1;
        }
        let &[0xff, marker, high, low] = bytes.get(at..at + 4)?.as_array()? else {
            return None;
        };
        let segment = bytes.get(at + 4..)?;
        match marker {
            // SOF, but not DHT, JPG and DAC, which have numbers in between.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let &[_, h1, h2, w1, w2, components] = segment.first_chunk::<6>()?;
                frame = Some(Frame {
                    width: u16::from_be_bytes([w1, w2]).into(),
                    height: u16::from_be_bytes([h1, h2]).into(),
                    components: components.into(),
                    waits: !matches!(marker, 0xc0 | 0xc1),
                });
            }
            0xda => {
                let mut frame = frame?;
                frame.waits |= u64::from(*segment.first()?) < frame.components;
                return Some(frame);
            }
            _ => {}
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

/// Does a WebP file say that it holds more than one frame?
pub fn animated_webp(bytes: &[u8]) -> bool {
    const ANIMATION: u8 = 2;
    let flags = bytes.get(12..).and_then(|b| b.strip_prefix(b"VP8X"));
    flags
        .and_then(|b| b.get(4))
        .is_some_and(|flags| flags & ANIMATION != 0)
}

/// Width and height of the lossy picture in a WebP file, if it holds one.
pub fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, chunk) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if kind == b"VP8 " {
            // After a frame tag of three bytes and a start code of three; two bits are for scaling.
            let &[_, _, _, _, _, _, w1, w2, h1, h2] = chunk.first_chunk()?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            return Some((side(w1, w2), side(h1, h2)));
        }
        rest = chunk.get(length.checked_add(length % 2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scan_tells_whether_others_follow() {
        let file = |sof: u8, scan: u8| {
            let mut file = b"\xff\xd8\xff\xe1\x00\x04\xff\xc0\xff\xff".to_vec();
            file.extend([sof, 0, 17, 8, 0x4e, 0x20, 0x01, 0x00, 3]);
            file.extend([0; 9]);
            file.extend([0xff, 0xda, 0, 12, scan]);
            file
        };
        for (sof, scan, waits) in [(0xc0, 3, false), (0xc0, 1, true), (0xc2, 3, true)] {
            let frame = Frame {
                width: 256,
                height: 20_000,
                components: 3,
                waits,
            };
            assert_eq!(jpeg(&file(sof, scan)), Some(frame));
        }
        assert_eq!(jpeg(&file(0xc0, 3)[..30]), None);
    }

    #[test]
    fn the_lossy_picture_in_a_webp_file_is_found() {
        let mut file = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
        file.extend([0; 10]);
        assert_eq!(webp(&file), None);
        file.extend(b"ALPH\x03\0\0\0abc\0VP8 \x0a\0\0\0\x30\x01\0\x9d\x01\x2a\xff\x3f\x10\x40");
        assert_eq!(webp(&file), Some((16_383, 16)));
    }
}
