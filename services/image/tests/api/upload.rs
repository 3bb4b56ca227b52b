//! What becomes of a picture.
use crate::{
    samples::{colour, gradient, jpeg, look, photo, png, progressive, webp},
    support::Replica,
};
use image_webp::ColorType as WebP;
use png::ColorType as Png;
use serde_json::json;
use sha2::{Digest as _, Sha256};

#[tokio::test]
async fn an_upload_is_stored_in_three_sizes() {
    let replica = Replica::new();
    let stored = replica.upload(&jpeg(1600, 1200)).await.expect(201);
    let full = replica.picture(&stored, "").await;
    let digest = Sha256::digest(&full);
    let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let url = format!("/api/images/{id}");
    let expected = json!({"id": id, "width": 1600, "height": 1200, "content_type": "image/jpeg",
        "bytes": full.len(), "url": url,
        "renditions": {"256": format!("{url}/256"), "800": format!("{url}/800")}});
    assert_eq!(stored, expected);
    for (size, (width, height)) in [
        ("", (1600, 1200)),
        ("/800", (800, 600)),
        ("/256", (256, 192)),
    ] {
        let picture = replica.picture(&stored, size).await;
        let seen = look(&picture);
        assert_eq!((seen.0, seen.1), (width, height), "{size}");
        // Red grows to the right, green downwards, in each of them.
        for (across, down) in [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.5, 0.5)] {
            let [red, green, blue] = colour(&picture, across, down).map(f64::from);
            let off = (red - 255.0 * across)
                .abs()
                .max((green - 255.0 * down).abs());
            assert!(
                off < 8.0 && (blue - 60.0).abs() < 8.0,
                "{size} {across} {down}: {off}"
            );
        }
    }
}

#[tokio::test]
async fn every_kind_of_picture_is_taken_whatever_it_is_called() {
    let replica = Replica::new();
    let files = [
        ("jpeg", jpeg(300, 200)),
        ("progressive jpeg", progressive(300, 200)),
        ("png", png(300, 200, Png::Rgb)),
        ("png with alpha", png(300, 200, Png::Rgba)),
        ("grey png", png(300, 200, Png::Grayscale)),
        ("webp", webp(300, 200, WebP::Rgb8)),
        ("webp with alpha", webp(300, 200, WebP::Rgba8)),
        (
            "jpeg and then some",
            [jpeg(300, 200), b"PK\x03\x04<script>".to_vec()].concat(),
        ),
    ];
    for (kind, file) in files {
        for name in ["a.html", "a.gif", ""] {
            let body = crate::support::form(&[("file", name, &file)]);
            let stored = replica.post(&body).await.expect(201);
            let full = replica.picture(&stored, "").await;
            let (width, height, samples) = look(&full);
            assert_eq!((width, height), (300, 200), "{kind}");
            assert!(
                !contains(&full, b"<script>"),
                "{kind}: the tail is still there"
            );
            if !kind.starts_with("grey") {
                assert_eq!(samples.len(), gradient(300, 200, 3).len());
            }
        }
    }
}

#[tokio::test]
async fn the_same_picture_is_one_object() {
    let replica = Replica::new();
    let first = replica.upload(&png(900, 100, Png::Rgb)).await;
    let again = replica.upload(&png(900, 100, Png::Rgb)).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(replica.files().len(), 3);
    let other = replica.upload(&png(901, 100, Png::Rgb)).await.expect(201);
    assert_eq!(other["width"], 901);
    assert_eq!(replica.files().len(), 6);
    let metrics = replica.metrics();
    for line in [
        r#"image_uploads_total{outcome="stored"} 2"#,
        r#"image_uploads_total{outcome="known"} 1"#,
        "image_processing_seconds_count 3",
    ] {
        assert!(metrics.contains(line), "{line} missing in\n{metrics}");
    }
}

#[tokio::test]
async fn pictures_are_turned_upright_and_forget_where_they_were_taken() {
    let replica = Replica::new();
    for (orientation, (width, height), top_left) in [
        (1, (400, 300), [0, 0]),
        (3, (400, 300), [255, 255]),
        (6, (300, 400), [0, 255]),
        (8, (300, 400), [255, 0]),
    ] {
        let file = photo(400, 300, orientation);
        assert!(contains(&file, b"secret place") && contains(&file, b"ICC_PROFILE"));
        let stored = replica.upload(&file).await.expect(201);
        assert_eq!(
            (&stored["width"], &stored["height"]),
            (&json!(width), &json!(height))
        );
        for size in ["", "/800", "/256"] {
            let picture = replica.picture(&stored, size).await;
            let [red, green, _] = colour(&picture, 0.02, 0.02);
            let off = red.abs_diff(top_left[0]).max(green.abs_diff(top_left[1]));
            assert!(off < 16, "orientation {orientation} {size}: {red} {green}");
            for left in [&b"secret"[..], b"Exif", b"ICC_PROFILE", b"GPS", b"adobe"] {
                assert!(!contains(&picture, left), "metadata is left in {size}");
            }
        }
    }
}

/// What a crash between two of its files leaves behind is completed by the next upload.
#[tokio::test]
async fn a_half_stored_picture_is_completed_by_its_next_upload() {
    let replica = Replica::new();
    replica.upload(&jpeg(1000, 500)).await.expect(201);
    let files = replica.files();
    for lost in [&files[2..], &files[1..], &files[..]] {
        for file in lost {
            std::fs::remove_file(file).expect("it is there");
        }
        let again = replica.again();
        let stored = again.upload(&jpeg(1000, 500)).await;
        assert!(!stored.headers.contains_key("idempotent-replayed"));
        let stored = stored.expect(201);
        assert_eq!(replica.files(), files);
        for size in ["", "/800", "/256"] {
            look(&again.picture(&stored, size).await);
        }
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
