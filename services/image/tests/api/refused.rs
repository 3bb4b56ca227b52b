//! Files that are no pictures, or not ones we take. None leaves anything behind.
use crate::{
    samples::{chunk, jpeg, png, png_head, progressive, webp},
    support::{Replica, form},
};
use axum::{body::Body, http::Request};
use image_webp::ColorType as WebP;
use png::ColorType as Png;
use service::testing::send;

#[tokio::test]
async fn what_is_no_picture_is_told_by_its_content() {
    let replica = Replica::new();
    let files: [&[u8]; 9] = [
        b"",
        b"\xff",
        b"GIF89a\x01\0\x01\0\0\0\0;",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"PK\x03\x04zip",
        b"BM\x46\0\0\0bitmap",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"%PDF-1.7",
    ];
    for file in files {
        let answer = replica.upload(file).await;
        answer.expect_problem(415, "not_a_picture");
    }
    // A picture further down does not help.
    let hidden = [b"GIF89a".to_vec(), jpeg(10, 10)].concat();
    replica
        .upload(&hidden)
        .await
        .expect_problem(415, "not_a_picture");
    assert_eq!(replica.files(), [""; 0]);
    let metrics = replica.metrics();
    let line = r#"image_uploads_total{outcome="not_a_picture"} 10"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn broken_pictures_are_refused_wherever_they_end() {
    let replica = Replica::new();
    for (kind, file) in [
        ("jpeg", jpeg(200, 200)),
        ("progressive", progressive(200, 200)),
        ("png", png(200, 200, Png::Rgb)),
        ("webp", webp(200, 200, WebP::Rgb8)),
    ] {
        for end in [12, file.len() / 4, file.len() / 2, file.len() * 9 / 10] {
            let answer = replica.upload(&file[..end]).await;
            assert_eq!(answer.status, 422, "{kind} of {end} bytes");
            answer.expect_problem(422, "broken_image");
        }
    }
    // A good one right after is taken.
    replica.upload(&jpeg(200, 200)).await.expect(201);
    assert_eq!(replica.files().len(), 3);
}

/// Flips bits all over: whatever happens, it is not a fault of ours.
#[tokio::test]
async fn damaged_pictures_never_upset_the_service() {
    let replica = Replica::new();
    let mut state = 7_usize;
    for file in [
        jpeg(64, 64),
        progressive(64, 64),
        png(64, 64, Png::Rgba),
        webp(64, 64, WebP::Rgba8),
    ] {
        for _ in 0..60 {
            let mut damaged = file.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = (state >> 33) % damaged.len();
                damaged[at] ^= 1 << ((state >> 20) % 8);
            }
            let status = replica.upload(&damaged).await.status.as_u16();
            assert!(matches!(status, 201 | 415 | 422), "{status}");
        }
    }
}

#[tokio::test]
async fn animations_are_refused() {
    let replica = Replica::new();
    let still = png(20, 20, Png::Rgb);
    let head = png_head(20, 20).len();
    let frames = chunk(b"acTL", &[0, 0, 0, 9, 0, 0, 0, 0]);
    let apng = [&still[..head], &frames, &still[head..]].concat();
    replica
        .upload(&apng)
        .await
        .expect_problem(422, "animated_image");

    let mut webp = b"RIFF\x3e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0".to_vec();
    webp.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    webp.extend(b"ANMF\x10\0\0\0\0\0\0\0\0\0\x0f\0\0\x0f\0\0\x64\0\0\0");
    replica
        .upload(&webp)
        .await
        .expect_problem(422, "animated_image");
    assert_eq!(replica.files(), [""; 0]);
}

/// Looking is for everybody, uploading for people with an account.
#[tokio::test]
async fn nobody_uploads_without_an_account() {
    let replica = Replica::new();
    let body = form(&[("file", "a.jpg", &jpeg(8, 8))]);
    let request = Request::post("/images").header("host", "test");
    let request = request.header("content-type", "multipart/form-data; boundary=----boundary");
    let request = request.body(Body::from(body)).expect("a request");
    let answer = send(&replica.router, request).await;
    answer.expect_problem(401, "unauthorized");
    assert_eq!(replica.files(), Vec::<String>::new());
}
