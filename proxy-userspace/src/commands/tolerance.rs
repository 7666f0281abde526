//! How many attempts in succession may fail, where a failure may pass by itself: while an agent replaces its maps and programs,
//! they can't be read for a moment. Pure.

/// Counts failures in succession.
#[derive(Clone, Debug)]
pub struct Tolerance {
    failures: u32,
    most: u32,
}

impl Tolerance {
    /// Tolerates `most` failures in succession.
    pub const fn new(most: u32) -> Self {
        Self { failures: 0, most }
    }

    /// Takes the result of an attempt. Returns the error of one failure too many; those before it count as `Ok`.
    pub fn take<E>(&mut self, result: Result<(), E>) -> Result<(), E> {
        match result {
            Err(_) if self.failures < self.most => {
                self.failures += 1;
                Ok(())
            }
            result => {
                self.failures = 0;
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_too_many_in_succession_is_an_error() {
        let mut tolerance = Tolerance::new(2);
        let mut outcomes = |results: &[Result<(), u8>]| {
            results.iter().map(|result| tolerance.take(*result).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&[Err(1), Err(2), Ok(()), Err(3), Err(4), Err(5)]), [true, true, true, true, true, false]);
    }
}
