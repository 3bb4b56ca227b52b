//! Pictures to upload, and a look at those that come back.
use image_webp::{ColorType as WebPColor, WebPEncoder};
use jpeg_encoder::{ColorType, Encoder};
use zune_core::bytestream::ZCursor;
use zune_jpeg::JpegDecoder;

/// Samples of a picture with something to see: red grows to the right, green downwards.
pub fn gradient(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let shade = |at: u32, side: u32| u8::try_from(at * 255 / side.max(1)).expect("a byte");
    let mut samples = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let pixel = [shade(x, width), shade(y, height), 60, 255];
            samples.extend(&pixel[..channels as usize]);
        }
    }
    samples
}

pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    encode(width, height, |_| {})
}

pub fn progressive(width: u16, height: u16) -> Vec<u8> {
    encode(width, height, |encoder| encoder.set_progressive(true))
}

/// With a camera's notes: how it was held, and where.
pub fn photo(width: u16, height: u16, orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0]);
    exif.extend(b"\x25\x88\x04\0\x01\0\0\0\x26\0\0\0\0\0\0\0GPS 54.32N 10.13E secret place");
    encode(width, height, |encoder| {
        encoder.add_exif_metadata(&exif).expect("it fits");
        encoder.add_icc_profile(&[7; 500]).expect("it fits");
        let comment = b"http://ns.adobe.com/xap/1.0/\0secret place".to_vec();
        encoder.add_app_segment(1, comment).expect("it fits");
    })
}

fn encode(width: u16, height: u16, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 90);
    set(&mut encoder);
    let samples = gradient(width.into(), height.into(), 3);
    let done = encoder.encode(&samples, width, height, ColorType::Rgb);
    done.expect("it is encoded");
    file
}

pub fn png(width: u32, height: u32, color: png::ColorType) -> Vec<u8> {
    let samples = gradient(width, height, u32::try_from(color.samples()).expect("four"));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&samples).expect("it is encoded");
    writer.finish().expect("an end");
    file
}

pub fn webp(width: u32, height: u32, color: WebPColor) -> Vec<u8> {
    let channels = if color == WebPColor::Rgba8 { 4 } else { 3 };
    let mut file = Vec::new();
    let encoder = WebPEncoder::new(&mut file);
    let samples = gradient(width, height, channels);
    encoder
        .encode(&samples, width, height, color)
        .expect("it is encoded");
    file
}

/// One chunk of a PNG file.
pub fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(data.len())
        .expect("small")
        .to_be_bytes()
        .to_vec();
    chunk.extend(kind);
    chunk.extend(data);
    let crc = crc32(&chunk[4..]);
    chunk.extend(crc.to_be_bytes());
    chunk
}

/// CRC-32 as in PNG (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A PNG file's signature and header, 8 bits RGB.
pub fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat()
}

/// Width, height and samples of a JPEG.
pub fn look(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut decoder = JpegDecoder::new(ZCursor::new(jpeg));
    let samples = decoder.decode().expect("a whole JPEG");
    let (width, height) = decoder.dimensions().expect("it is decoded");
    (width, height, samples)
}

/// The colour at a place of an RGB picture, given as shares of its sides.
pub fn colour(jpeg: &[u8], across: f64, down: f64) -> [u8; 3] {
    let (width, height, samples) = look(jpeg);
    assert_eq!(samples.len(), width * height * 3);
    let (x, y) = (across * width as f64, down * height as f64);
    let at = (y as usize * width + x as usize) * 3;
    [samples[at], samples[at + 1], samples[at + 2]]
}
