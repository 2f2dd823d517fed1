//! Outputs whose reader takes its time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio::io::AsyncWriteExt as _;

use super::*;

/// What is written to it waits until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar, Mutex<Vec<u8>>)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn came_through(&self) -> Vec<u8> {
        self.0.2.lock().unwrap().clone()
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
        self.0.2.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fills an output up to its bound, in which the writer has taken its part.
fn fill(output: &Output) {
    output.push(b"\n");
    while !output.0.state().writing {
        std::thread::yield_now();
    }
    while output.has_room() {
        output.push(&[b'\n'; 1024]);
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// An actor that prints, and is killed while it waits, over and over: nothing may be kept for each.
#[test]
fn who_stops_waiting_for_a_reader_leaves_nothing() {
    let output = Output::new("test", Gate::default()).unwrap();
    fill(&output);
    for _ in 0..1_000 {
        let nobody = Arc::new(Nobody);
        let mut waits = output.clone();
        {
            let waker = Arc::clone(&nobody).into();
            let mut ready = waits.ready();
            assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(Arc::strong_count(&nobody), 1, "its waker is still held");
    }
}

/// Each who waits costs the same, however many they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_wait_for_a_reader_all_write_when_it_is_back() {
    const WRITERS: usize = 300_000;
    let gate = Gate::default();
    let output = Output::new("test", gate.clone()).unwrap();
    fill(&output);
    let waiting = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (mut output, waiting) = (output.clone(), Arc::clone(&waiting));
            tokio::spawn(async move {
                waiting.fetch_add(1, Ordering::Relaxed);
                while output.check_write().unwrap() == 0 {
                    output.ready().await;
                }
                OutputStream::write(&mut output, format!("{number:63}\n").into()).unwrap();
            })
        })
        .collect();
    let all = async {
        while waiting.load(Ordering::Relaxed) < WRITERS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gate.open();
        for writer in writers {
            writer.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("not all are woken, or each looks at all others");
    assert!(output.flush_blocking(Duration::from_secs(30)));
    let text = String::from_utf8(gate.came_through()).unwrap();
    let mut lines: Vec<usize> = text.lines().filter(|line| !line.is_empty()).map(|line| line.trim().parse().unwrap()).collect();
    lines.sort_unstable();
    assert!(lines.into_iter().eq(0..WRITERS), "each line is there once, and whole");
}

/// To say that nothing was written would be an error of the guest.
#[tokio::test]
async fn a_stream_of_futures_waits_for_room_too() {
    let gate = Gate::default();
    let output = Output::new("test", gate.clone()).unwrap();
    fill(&output);
    let mut stream = Box::into_pin(output.async_stream());
    let written = tokio::spawn(async move { stream.write_all(&[b'x'; CAPACITY]).await });
    tokio::task::yield_now().await;
    assert!(!written.is_finished());
    gate.open();
    written.await.unwrap().unwrap();
    assert!(output.flush_blocking(Duration::from_secs(30)));
    assert_eq!(gate.came_through().iter().filter(|byte| **byte == b'x').count(), CAPACITY);
}

#[test]
fn what_nobody_reads_in_time_is_not_written() {
    let output = Output::new("test", Gate::default()).unwrap();
    output.push(b"x");
    assert!(!output.flush_blocking(Duration::from_millis(10)));
}
