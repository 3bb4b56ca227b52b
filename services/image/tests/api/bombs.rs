//! Small files that stand for huge pictures. What they may cost is memory the process has to spare.
use crate::{
    samples::{jpeg, png_head, progressive},
    support::upload,
};
use procfs::process::Process as Proc;
use service::testing::Process;
use std::{
    borrow::Cow,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_image");
/// How much the process may grow at its peak (RSS).
const LIMIT: u64 = 200 << 20;

/// A valid PNG of one colour, and whatever `set` puts into it.
fn plain_png(
    width: u32,
    height: u32,
    color: png::ColorType,
    set: impl Fn(&mut png::Info),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(width, height);
    info.color_type = color;
    info.bit_depth = png::BitDepth::Eight;
    set(&mut info);
    let encoder = png::Encoder::with_info(&mut file, info).expect("it makes sense");
    let mut writer = encoder.write_header().expect("a header");
    let mut stream = writer.stream_writer().expect("a stream");
    let row = vec![0; width as usize * color.samples()];
    for _ in 0..height {
        stream.write_all(&row).expect("it is encoded");
    }
    stream.finish().expect("an end");
    drop(writer);
    file
}

/// The same JPEG, said to be larger.
fn inflated(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let frame = |w: &[u8]| w[0] == 0xff && matches!(w[1], 0xc0 | 0xc2);
    let at = jpeg.windows(2).position(frame).expect("a frame");
    jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// A WebP file that says it is small and holds a picture that isn't.
fn disguised_webp() -> Vec<u8> {
    let mut file = b"RIFF\x2c\x01\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x09\0\0\x09\0\0".to_vec();
    file.extend(b"VP8 \x0a\x01\0\0\x10\x01\0\x9d\x01\x2a\xff\x3f\xff\x3f");
    file.resize(file.len() + 256, 0);
    file
}

fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    use png::ColorType::{Rgb, Rgba};
    let profile = |info: &mut png::Info| info.icc_profile = Some(Cow::Owned(vec![0; 300 << 20]));
    let text = |info: &mut png::Info| {
        let text = "0".repeat(60 << 20);
        let mut chunk = png::text_metadata::ZTXtChunk::new("Comment", text);
        chunk.compress_text().expect("it is compressed");
        info.compressed_latin1_text = vec![chunk; 5];
    };
    vec![
        ("50,000 x 50,000", png_head(50_000, 50_000), "422 "),
        ("9,000 x 1", plain_png(9_000, 1, Rgb, |_| {}), "422 "),
        (
            "40 MP with alpha",
            plain_png(8_000, 5_000, Rgba, |_| {}),
            "422 ",
        ),
        (
            "40 MP progressive",
            inflated(progressive(16, 16), 8_000, 5_000),
            "422 ",
        ),
        (
            "40 MP, cut off",
            inflated(jpeg(16, 16), 8_000, 5_000),
            "422 ",
        ),
        ("64 MP", inflated(jpeg(16, 16), 8_000, 8_000), "422 "),
        ("disguised", disguised_webp(), "422 "),
        ("profile", plain_png(10, 10, Rgb, profile), "201 "),
        ("text", plain_png(10, 10, Rgb, text), "201 "),
    ]
}

#[test]
fn no_picture_takes_more_memory_than_there_is_to_spare() {
    let image = Process::start(BINARY, &[]).ready();
    let process = i32::try_from(image.id()).expect("a process id");
    let process = Proc::new(process).expect("it runs");
    let peak = || {
        process
            .status()
            .expect("it runs")
            .vmhwm
            .expect("Linux tells")
            * 1024
    };
    upload(image.api, &jpeg(600, 600));
    let before = peak();
    for (what, file, status) in bombs() {
        assert!(file.len() < 5 << 20, "{what}: {}", file.len());
        let answer = upload(image.api, &file);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
        let grown = peak().saturating_sub(before);
        println!(
            "{what}: {} KiB, peak {} MiB above the start",
            file.len() >> 10,
            grown >> 20
        );
        assert!(grown < LIMIT, "{what}: {} MiB", grown >> 20);
    }
    // The largest that is taken, four at once: they wait for each other, or give up.
    let largest = plain_png(8_000, 5_000, png::ColorType::Rgb, |_| {});
    thread::scope(|scope| {
        let uploads = [(); 4].map(|()| scope.spawn(|| upload(image.api, &largest)));
        for answer in uploads.map(|upload| upload.join().expect("no panic")) {
            let status = answer.get(9..12);
            assert!(matches!(status, Some("201" | "503")), "{answer}");
        }
    });
    // Who gives up leaves the work behind: until it is done, there may be no turn for others.
    let started = Instant::now();
    while !upload(image.api, &jpeg(60, 60)).starts_with("HTTP/1.1 201 ") {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "it does not recover"
        );
    }
    let grown = peak().saturating_sub(before);
    println!(
        "40 MP four times at once: peak {} MiB above the start",
        grown >> 20
    );
    assert!(grown < LIMIT, "{} MiB", grown >> 20);
}
