//! From the bytes of an upload to pixels. What it would cost is known from the header alone, before
//! anything is decoded.
use crate::{
    error::{Error, Result},
    markers,
    orientation::Orientation,
    pixels::Pixels,
};
use image_webp::WebPDecoder;
use png::Transformations;
use std::io::Cursor;
use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

/// Most pixels on a side (OWASP ASVS 5.2.6 asks for a limit before decoding).
pub const MAX_SIDE: u32 = 8_000;
/// Most pixels in all.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Largest block of memory for one decoded picture.
const MAX_DECODED: u64 = 128 << 20;
/// What a PNG decoder may allocate beside the pixels. Text and colour profiles are skipped unread.
const PNG_WORK: usize = 16 << 20;
/// A JPEG's scans each pass over the whole picture; encoders make about ten.
const MAX_SCANS: usize = 32;

type Png<'a> = png::Reader<Cursor<&'a [u8]>>;
type WebP<'a> = WebPDecoder<Cursor<&'a [u8]>>;
type Jpeg<'a> = JpegDecoder<Cursor<&'a [u8]>>;

/// A picture whose header has been read.
pub struct Header<'a> {
    format: Format<'a>,
    width: u32,
    height: u32,
    /// Of the decoder's output, alpha included.
    channels: usize,
    orientation: Orientation,
    /// Bytes that decoding takes at its peak.
    pub cost: u64,
}

enum Format<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Png(Box<Png<'a>>),
    WebP(Box<WebP<'a>>),
}

impl<'a> Header<'a> {
    /// Reads the header of what the first bytes show to be a JPEG, PNG or WebP.
    ///
    /// # Errors
    /// When it is something else, animated, too large, or broken already here.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png(bytes),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => webp(bytes),
            _ => Err(Error::NotAPicture),
        }
    }

    /// Checks the limits and adds up the cost; `work` is what the decoder takes beside its output.
    fn new(
        format: Format<'a>,
        (width, height): (u32, u32),
        channels: usize,
        orientation: Orientation,
        work: u64,
    ) -> Result<Self> {
        let pixels = u64::from(width) * u64::from(height);
        let decoded = pixels * channels as u64;
        if width.max(height) > MAX_SIDE || pixels > MAX_PIXELS || decoded > MAX_DECODED {
            return Err(Error::TooManyPixels);
        }
        if pixels == 0 {
            return Err(Error::Broken);
        }
        // Turning it needs a second copy, after the decoder is done.
        let turning = if orientation.transposed { decoded } else { 0 };
        Ok(Self {
            format,
            width,
            height,
            channels,
            orientation,
            cost: decoded + work.max(turning),
        })
    }

    /// Decodes it, upright and opaque.
    ///
    /// # Errors
    /// When it is broken or ends early.
    pub fn decode(self) -> Result<Pixels> {
        let (width, height, channels) = (self.width, self.height, self.channels);
        let size = u64::from(width) * u64::from(height) * channels as u64;
        let mut samples = vec![0; usize::try_from(size).expect("it is below MAX_DECODED")];
        match self.format {
            Format::Jpeg(mut jpeg) => jpeg.decode_into(&mut samples).map_err(broken)?,
            Format::Png(mut png) => {
                png.next_frame(&mut samples).map_err(broken)?;
            }
            Format::WebP(mut webp) => webp.read_image(&mut samples).map_err(broken)?,
        }
        Ok(Pixels::opaque(width, height, channels, samples).upright(self.orientation))
    }
}

fn jpeg(bytes: &[u8]) -> Result<Header<'_>> {
    let frame = markers::jpeg(bytes).ok_or(Error::Broken)?;
    // Strict, or the missing part of a picture that ends early would be grey.
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .jpeg_set_max_scans(MAX_SCANS);
    let mut jpeg = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    if frame.width.max(frame.height) > MAX_SIDE {
        return Err(Error::TooManyPixels);
    }
    // A block of 8 x 8 takes a bit at least, and there is one for every four at the least.
    let blocks = u64::from(frame.width.div_ceil(8)) * u64::from(frame.height.div_ceil(8));
    if (bytes.len() as u64) * 8 < blocks / 4 {
        return Err(Error::Broken);
    }
    jpeg.decode_headers().map_err(broken)?;
    let size = (frame.width, frame.height);
    if jpeg.dimensions() != Some((size.0 as usize, size.1 as usize)) {
        return Err(Error::Broken);
    }
    let (colours, channels) = match jpeg.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    jpeg.set_options(options.jpeg_set_out_colorspace(colours));
    let orientation = jpeg.exif().map(|exif| Orientation::from_exif(exif));
    // With a scan for each component or for each bit, all coefficients (two bytes) wait for the last.
    let coefficients = u64::from(size.0) * u64::from(size.1) * frame.components * 2;
    let work = if frame.waits { coefficients } else { 0 };
    let format = Format::Jpeg(Box::new(jpeg));
    Header::new(
        format,
        size,
        channels,
        orientation.unwrap_or_default(),
        work,
    )
}

fn png(bytes: &[u8]) -> Result<Header<'_>> {
    let limits = png::Limits { bytes: PNG_WORK };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(broken)?;
    if info.width.max(info.height) > MAX_SIDE {
        return Err(Error::TooManyPixels);
    }
    let png = decoder.read_info().map_err(broken)?;
    let info = png.info();
    if info.animation_control.is_some() {
        return Err(Error::Animated);
    }
    let exif = info.exif_metadata.as_deref();
    let orientation = exif.map(Orientation::from_exif).unwrap_or_default();
    let (size, channels) = (info.size(), png.output_color_type().0.samples());
    let format = Format::Png(Box::new(png));
    Header::new(format, size, channels, orientation, PNG_WORK as u64)
}

fn webp(bytes: &[u8]) -> Result<Header<'_>> {
    if markers::animated_webp(bytes) {
        return Err(Error::Animated);
    }
    let mut webp = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    webp.set_memory_limit(bytes.len());
    let size = webp.dimensions();
    // The decoder takes the size of the picture proper for granted, which may not be that of the file.
    if markers::webp(bytes).is_some_and(|inner| inner != size) {
        return Err(Error::Broken);
    }
    let exif = webp.exif_metadata().map_err(broken)?;
    let orientation = exif.as_deref().map(Orientation::from_exif);
    // Lossless: all four channels again. Lossy: luma, chroma, and alpha, which is lossless in turn.
    let (channels, work) = if webp.has_alpha() { (4, 7) } else { (3, 4) };
    let work = u64::from(size.0) * u64::from(size.1) * work;
    let format = Format::WebP(Box::new(webp));
    Header::new(
        format,
        size,
        channels,
        orientation.unwrap_or_default(),
        work,
    )
}

fn broken(error: impl std::fmt::Debug) -> Error {
    tracing::debug!(?error, "a picture can't be decoded");
    Error::Broken
}
