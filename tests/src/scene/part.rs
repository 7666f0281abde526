//! Optional parts of a scene.

use std::ops::{Deref, DerefMut};

/// A part of a scene that is there only if the setup asked for it. A test that uses a missing one panics.
#[derive(Debug)]
pub struct Part<T>(Option<T>);

impl<T> From<Option<T>> for Part<T> {
    fn from(part: Option<T>) -> Self {
        Self(part)
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the setup asked for this part of the scene")
    }
}

impl<T> DerefMut for Part<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the setup asked for this part of the scene")
    }
}
