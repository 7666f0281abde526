//! The heap of glibc's malloc(3), which keeps what is freed. An agent needs several times its usual memory while it reads lists
//! and loads programs, and little from then on. With another C library both functions do nothing.

/// Makes all threads share one heap: with a heap for each, memory that one has freed is of no use to the others. Call it before
/// the first thread starts.
pub fn share() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "mallopt(3), which has no safe wrapper")]
        // SAFETY: it takes two numbers. Where it fails, heaps stay as they are.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Gives the kernel back what is free, which takes about a millisecond for each 10 MB.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "malloc_trim(3), which has no safe wrapper")]
        // SAFETY: it touches only memory that is free.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
