//! The kernel's jiffies, in which timeouts of flows are stored.

use std::io;

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_getres, clock_gettime},
};

/// The counter starts this many seconds before it wraps at 2³² (include/linux/jiffies.h).
const BEFORE_WRAP: u32 = 300;

/// Returns the number of jiffies per second (HZ). The resolution of the coarse clocks is one jiffy.
pub fn per_second() -> io::Result<u32> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_err(io::Error::from)?;
    let nanoseconds = u32::try_from(tick.tv_nsec()).unwrap_or(0).max(1);
    Ok((1_000_000_000 + nanoseconds / 2) / nanoseconds)
}

/// Returns the current value of the counter, accurate to a second. It advances like CLOCK_MONOTONIC.
pub fn now_64() -> io::Result<u64> {
    let uptime = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(io::Error::from)?;
    Ok(at(uptime, per_second()?))
}

/// Returns the current value of the counter modulo 2³², accurate to a second.
pub fn now() -> io::Result<u32> {
    now_64().map(modulo)
}

/// Returns a value of the counter modulo 2³², as entries of flows have it.
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32")]
pub const fn modulo(jiffies: u64) -> u32 {
    jiffies as u32
}

#[expect(clippy::cast_sign_loss, reason = "uptime is positive")]
fn at(uptime: TimeSpec, per_second: u32) -> u64 {
    let ticks = uptime.tv_sec() as u64 * u64::from(per_second)
        + uptime.tv_nsec() as u64 * u64::from(per_second) / 1_000_000_000;
    ticks + (1 << 32) - u64::from(BEFORE_WRAP * per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_starts_before_it_wraps() {
        assert_eq!(at(TimeSpec::new(0, 0), 250), u64::from(u32::MAX) - 74_999);
        assert_eq!(at(TimeSpec::new(300, 500_000_000), 250), (1 << 32) + 125);
        assert_eq!(modulo((1 << 32) + 125), 125);
        assert!([100, 250, 300, 1000].contains(&per_second().unwrap()));
    }

    #[test]
    fn the_counter_is_the_kernels() {
        let Ok(timers) = std::fs::read_to_string("/proc/timer_list") else { return };
        let kernels = timers.lines().find_map(|line| line.strip_prefix("jiffies: ")).unwrap();
        let apart = now_64().unwrap().abs_diff(kernels.parse().unwrap());
        assert!(apart < 2 * u64::from(per_second().unwrap()), "{apart} ticks apart");
    }
}
