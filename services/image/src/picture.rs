//! A finished picture and its sizes: re-encoded, so that nothing but its pixels is left of the upload.
use crate::{
    error::{Error, Result},
    pixels::Pixels,
};
use bytes::Bytes;
use fast_image_resize::{FilterType, images::ImageRef};
use fast_image_resize::{PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// JPEG quality, 1 to 100.
const QUALITY: u8 = 80;
/// A picture whose JPEG is larger is refused: answers pass through the gateway's memory.
pub const MAX_STORED: usize = 8 << 20;

/// SHA-256 of a stored picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id([u8; 32]);

impl Id {
    pub fn of(picture: &[u8]) -> Self {
        Self(Sha256::digest(picture).into())
    }

    /// 64 digits in lower case; nothing else is an id.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One of the sizes in which a picture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// As it was sent.
    Full,
    /// Within a square of 800 pixels.
    Large,
    /// Within a square of 256 pixels.
    Small,
}

impl Size {
    pub const RENDITIONS: [Self; 2] = [Self::Large, Self::Small];

    /// The last part of its URL and of its place in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Large => "800",
            Self::Small => "256",
        }
    }

    /// The rendition of that name.
    pub fn rendition(name: &str) -> Option<Self> {
        Self::RENDITIONS
            .into_iter()
            .find(|size| size.name() == name)
    }

    fn side(self) -> u32 {
        match self {
            Self::Full => u32::MAX,
            Self::Large => 800,
            Self::Small => 256,
        }
    }
}

/// A picture in all its sizes, each a JPEG.
#[derive(Clone, Debug)]
pub struct Picture {
    pub id: Id,
    pub width: u32,
    pub height: u32,
    pub full: Bytes,
    /// In the order of [`Size::RENDITIONS`].
    pub renditions: [Bytes; 2],
}

impl Picture {
    /// Encodes the pixels in all sizes.
    ///
    /// # Errors
    /// When the result is too large.
    pub fn new(pixels: &Pixels) -> Result<Self> {
        let full = encode(pixels)?;
        if full.len() > MAX_STORED {
            return Err(Error::TooDetailed);
        }
        Self::from_stored(full, pixels)
    }

    /// A picture that is a JPEG of ours already, and its pixels.
    ///
    /// # Errors
    /// Only by a fault of ours.
    pub fn from_stored(full: Bytes, pixels: &Pixels) -> Result<Self> {
        let large = scale(pixels, Size::Large)?;
        // From the large one: an eighth of the work, and no difference to be seen.
        let small = scale(large.as_ref().unwrap_or(pixels), Size::Small)?;
        let small = small.as_ref().or(large.as_ref());
        Ok(Self {
            id: Id::of(&full),
            width: pixels.width,
            height: pixels.height,
            renditions: [
                large.as_ref().map_or_else(|| Ok(full.clone()), encode)?,
                small.map_or_else(|| Ok(full.clone()), encode)?,
            ],
            full,
        })
    }
}

/// The picture made to fit, or none if it does already. It is never enlarged.
fn scale(pixels: &Pixels, size: Size) -> Result<Option<Pixels>> {
    let longer = pixels.width.max(pixels.height);
    if longer <= size.side() {
        return Ok(None);
    }
    let fit = |side: u32| {
        let side =
            (u64::from(side) * u64::from(size.side()) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(side)
            .expect("it is shorter than before")
            .max(1)
    };
    let (width, height) = (fit(pixels.width), fit(pixels.height));
    let kind = match pixels.channels {
        1 => PixelType::U8,
        _ => PixelType::U8x3,
    };
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.samples, kind);
    let source = source.map_err(|e| Error::Ours(e.to_string()))?;
    let mut scaled = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    let done = Resizer::new().resize(&source, &mut scaled, &options);
    done.map_err(|e| Error::Ours(e.to_string()))?;
    Ok(Some(Pixels {
        width,
        height,
        channels: pixels.channels,
        samples: scaled.into_vec(),
    }))
}

fn encode(pixels: &Pixels) -> Result<Bytes> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    // Colour at half the resolution, as cameras and other services store it.
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let colours = match pixels.channels {
        1 => ColorType::Luma,
        _ => ColorType::Rgb,
    };
    let side = |side: u32| u16::try_from(side).expect("sides are limited before decoding");
    let (width, height) = (side(pixels.width), side(pixels.height));
    let done = encoder.encode(&pixels.samples, width, height, colours);
    done.map_err(|e| Error::Ours(e.to_string()))?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(width: u32, height: u32) -> Pixels {
        Pixels {
            width,
            height,
            channels: 1,
            samples: vec![100; (width * height) as usize],
        }
    }

    #[test]
    fn pictures_are_made_to_fit_and_never_enlarged() {
        for ((width, height), expected) in [
            ((1600, 1200), Some((800, 600))),
            ((1200, 1600), Some((600, 800))),
            ((8000, 1), Some((800, 1))),
            ((801, 799), Some((800, 798))),
            ((800, 800), None),
            ((1, 1), None),
        ] {
            let scaled = scale(&pixels(width, height), Size::Large).expect("it scales");
            assert_eq!(scaled.map(|s| (s.width, s.height)), expected);
        }
    }

    #[test]
    fn small_pictures_are_their_own_renditions() {
        let picture = Picture::new(&pixels(200, 100)).expect("it is encoded");
        assert!(picture.renditions.iter().all(|r| *r == picture.full));
        let picture = Picture::new(&pixels(500, 100)).expect("it is encoded");
        assert_eq!(picture.renditions[0], picture.full);
        assert_ne!(picture.renditions[1], picture.full);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = Id::of(b"a picture");
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        let upper = id.to_string().to_uppercase();
        for bad in ["", "..", &upper, &id.to_string()[1..], "/etc/passwd"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
        assert_eq!(Id::parse(&"é".repeat(32)), None);
    }
}
