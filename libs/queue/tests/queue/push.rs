//! Pushing, looking at jobs, and what counts as the same job.
use crate::common::{QUEUE, eventually, fast, job, jobs, stats};
use chrono::{TimeDelta, Utc};
use queue::{
    Filter, NewJob, Options, Pushed, Queue, State,
    testing::{Fresh, each, each_with},
};
use serde_json::{json, value::RawValue};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn a_job_is_stored_to_the_letter() {
    each(async |queue| {
        let exact =
            r#"{"money": 12345678901234567890.10, "text": "\u0000 ü \" \\", "deep": [[{}]]}"#;
        let new = NewJob {
            payload: RawValue::from_string(exact.into()).unwrap(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            request_id: Some("r-1".into()),
            ..NewJob::new("echo 'quoted'", &()).unwrap()
        };
        queue.push(QUEUE, std::slice::from_ref(&new)).await.unwrap();
        let stored = queue.job(QUEUE, new.id).await.unwrap().unwrap();
        assert_eq!(stored.payload.get(), exact);
        assert_eq!(stored.kind, new.kind);
        assert_eq!(stored.traceparent, new.traceparent);
        assert_eq!(stored.request_id, new.request_id);
        assert_eq!((stored.state, stored.attempts), (State::Waiting, 0));
        assert!((Utc::now() - stored.created_at).abs() < TimeDelta::seconds(5));

        assert!(queue.job(QUEUE, Uuid::now_v7()).await.unwrap().is_none());
        assert!(queue.job("another", new.id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_job_has_the_documented_json_shape() {
    each(async |queue| {
        let new = job(7);
        queue.push(QUEUE, std::slice::from_ref(&new)).await.unwrap();
        let stored = queue.job(QUEUE, new.id).await.unwrap().unwrap();
        let mut shape = serde_json::to_value(stored).unwrap();
        for time in ["created_at", "run_at"] {
            let text = shape[time].take();
            assert!(text.as_str().unwrap().ends_with('Z'), "{text} isn't UTC");
        }
        let expected = json!({
            "id": new.id, "queue": QUEUE, "kind": "test", "payload": 7, "state": "waiting",
            "attempts": 0, "max_attempts": 5, "last_error": null, "result": null,
            "created_at": null, "run_at": null, "finished_at": null,
            "traceparent": null, "request_id": null,
        });
        assert_eq!(shape, expected);
    })
    .await;
}

#[tokio::test]
async fn the_same_id_is_stored_once() {
    each(async |queue| {
        let (a, b) = (job(1), job(2));
        let pushed = queue.push(QUEUE, &[a.clone(), a.clone()]).await.unwrap();
        assert_eq!(pushed, [Pushed::New, Pushed::Duplicate]);
        let pushed = queue.push(QUEUE, &[b, a]).await.unwrap();
        assert_eq!(pushed, [Pushed::New, Pushed::Duplicate]);
        assert_eq!(stats(&queue).await.waiting, 2);
    })
    .await;
}

#[tokio::test]
async fn a_unique_key_is_taken_once_whatever_becomes_of_the_job() {
    let options = Options {
        keep_done: 0,
        ..fast()
    };
    each_with(options, async |fresh| {
        let queue = &fresh.queue;
        let keyed = |key: &str| NewJob {
            unique_key: Some(key.into()),
            ..job(0)
        };
        let first = keyed("a");
        let batch = [first.clone(), keyed("a"), keyed("b"), job(0)];
        let pushed = queue.push(QUEUE, &batch).await.unwrap();
        use Pushed::{Duplicate, New};
        assert_eq!(pushed, [New, Duplicate, New, New]);
        assert_eq!(queue.push("another", &[keyed("a")]).await.unwrap(), [New]);

        // Done and forgotten, but its key isn't.
        let done = queue.batches(QUEUE);
        let shutdown = tokio_util::sync::CancellationToken::new();
        let stop = async {
            eventually("the queue is empty", async || {
                stats(queue).await == Default::default()
            })
            .await;
            shutdown.cancel();
        };
        tokio::join!(
            done.run(async |_| Ok::<_, String>(()), shutdown.clone()),
            stop
        );
        let pushed = queue
            .push(QUEUE, &[first, keyed("b"), keyed("c")])
            .await
            .unwrap();
        assert_eq!(pushed, [Duplicate, Duplicate, New]);
    })
    .await;
}

#[tokio::test]
async fn a_unique_key_is_forgotten_in_time() {
    let options = Options {
        unique_for: Duration::from_millis(300),
        ..fast()
    };
    each_with(options, async |fresh| {
        let push = async || {
            let new = NewJob {
                unique_key: Some("a".into()),
                ..job(0)
            };
            fresh.queue.push(QUEUE, &[new]).await.unwrap()[0]
        };
        assert_eq!(push().await, Pushed::New);
        assert_eq!(push().await, Pushed::Duplicate);
        eventually("the key is free again", async || {
            push().await == Pushed::New
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_stored_takes_no_other_key() {
    each(async |queue| {
        let keyed = |new: &NewJob, key: &str| NewJob {
            unique_key: Some(key.into()),
            ..new.clone()
        };
        let (a, b) = (job(1), job(2));
        queue.push(QUEUE, &[keyed(&a, "first")]).await.unwrap();
        let pushed = queue.push(QUEUE, &[keyed(&a, "second")]).await.unwrap();
        assert_eq!(pushed, [Pushed::Duplicate]);
        let pushed = queue.push(QUEUE, &[keyed(&b, "second")]).await.unwrap();
        assert_eq!(pushed, [Pushed::New]);
    })
    .await;
}

#[tokio::test]
async fn pages_cover_every_job_once_newest_first() {
    each(async |queue| {
        // Due times that many share, since a page may end among them.
        let at = |seconds| Some(Utc::now() + TimeDelta::seconds(seconds));
        let (early, late) = (at(100), at(200));
        let mut all = jobs(1300);
        for (i, new) in all.iter_mut().enumerate() {
            new.run_at = if i % 2 == 0 { early } else { late };
        }
        assert_eq!(queue.push(QUEUE, &all).await.unwrap(), [Pushed::New; 1300]);
        for state in [None, Some(State::Waiting)] {
            let listed = list(&queue, state, 300).await;
            assert!(listed.is_sorted_by(|a, b| a.run_at >= b.run_at));
            let mut ids: Vec<_> = listed.iter().map(|job| job.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!((listed.len(), ids.len()), (1300, 1300));
        }
        assert!(list(&queue, Some(State::Dead), 10).await.is_empty());
    })
    .await;
}

async fn list(queue: &Queue, state: Option<State>, limit: usize) -> Vec<queue::Job> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter {
            state,
            limit,
            after,
        };
        let page = queue.jobs(QUEUE, filter).await.unwrap();
        assert!(page.items.len() <= limit);
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

#[tokio::test]
async fn a_made_up_cursor_is_refused() {
    each(async |queue| {
        for cursor in [
            "",
            "1",
            "x.y",
            "1.' OR 1=1",
            "nan.0190163d-8694-739b-aea5-966c26f8ad91",
        ] {
            let filter = Filter {
                after: Some(cursor.into()),
                ..Filter::default()
            };
            let refused = queue.jobs(QUEUE, filter).await;
            assert!(matches!(refused, Err(queue::Error::Cursor)), "{cursor}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_due_is_told_from_what_is_not() {
    each(async |queue| {
        let later = NewJob {
            run_at: Some(Utc::now() + TimeDelta::hours(1)),
            ..job(0)
        };
        queue.push(QUEUE, &[later]).await.unwrap();
        assert_eq!(stats(&queue).await.oldest_seconds, 0.0);
        let due = NewJob {
            run_at: Some(Utc::now() - TimeDelta::minutes(2)),
            ..job(0)
        };
        queue.push(QUEUE, &[due]).await.unwrap();
        let oldest = stats(&queue).await.oldest_seconds;
        assert!((119.0..150.0).contains(&oldest), "{oldest}");
    })
    .await;
}

#[tokio::test]
async fn many_processes_may_start_on_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("queue.db").display());
    let opened = futures::future::join_all((0..16).map(|_| Queue::open(&url))).await;
    for queue in opened {
        queue.unwrap().push(QUEUE, &[job(0)]).await.unwrap();
    }
    assert_eq!(stats(&Queue::open(&url).await.unwrap()).await.waiting, 16);
}

#[tokio::test]
async fn what_is_stored_survives_a_restart() {
    for fresh in [Fresh::sqlite(fast()).await, Fresh::redis(fast()).await] {
        fresh.queue.push(QUEUE, &jobs(10)).await.unwrap();
        fresh.queue.close().await;
        if fresh.server_pid().is_some() {
            // The append-only file is written through once a second.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            fresh.outage(Duration::ZERO).await;
        }
        let again = Queue::open(&fresh.url).await.unwrap();
        assert_eq!(stats(&again).await.waiting, 10);
    }
}

#[tokio::test]
async fn other_urls_are_refused() {
    for url in ["", "postgres://localhost", "/tmp/queue.db"] {
        assert!(matches!(Queue::open(url).await, Err(queue::Error::Url)));
    }
}
