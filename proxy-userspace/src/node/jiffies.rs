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

/// Returns the current value of the counter modulo 2³², accurate to a second. It advances like CLOCK_MONOTONIC.
pub fn now() -> io::Result<u32> {
    let uptime = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(io::Error::from)?;
    Ok(at(uptime, per_second()?))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^32, and uptime is positive")]
fn at(uptime: TimeSpec, per_second: u32) -> u32 {
    let ticks = uptime.tv_sec() as u64 * u64::from(per_second)
        + uptime.tv_nsec() as u64 * u64::from(per_second) / 1_000_000_000;
    (ticks as u32).wrapping_sub(BEFORE_WRAP * per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_starts_before_it_wraps() {
        assert_eq!(at(TimeSpec::new(0, 0), 250), u32::MAX - 74_999);
        assert_eq!(at(TimeSpec::new(300, 500_000_000), 250), 125);
        assert!([100, 250, 300, 1000].contains(&per_second().unwrap()));
    }

    #[test]
    fn the_counter_is_the_kernels() {
        let Ok(timers) = std::fs::read_to_string("/proc/timer_list") else { return };
        let kernels = timers.lines().find_map(|line| line.strip_prefix("jiffies: ")).unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32")]
        let kernels = kernels.parse::<u64>().unwrap() as u32;
        let apart = now().unwrap().wrapping_sub(kernels).cast_signed().unsigned_abs();
        assert!(apart < 2 * per_second().unwrap(), "{apart} ticks apart");
    }
}
