//! Long work in pieces, for those who have frames to draw in between: it asks for a pause wherever it could take one.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Does the work to its end. Whoever pauses in it has to wake up by itself.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}

/// No pause at all.
pub async fn none() {}
