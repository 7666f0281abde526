//! Limits the heap of glibc's malloc(3), which keeps freed memory. An agent needs several times its usual memory while it reads
//! lists and loads programs. With other C libraries, both functions do nothing.

/// Makes all threads share one arena: with an arena each, memory that one thread has freed can't be used by the others. Call this
/// before the first thread starts.
pub fn share() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "mallopt(3), which has no safe wrapper")]
        // SAFETY: it takes two numbers. If it fails, arenas stay as they are.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Returns free memory to the kernel, which takes about a millisecond per 10 MB.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "malloc_trim(3), which has no safe wrapper")]
        // SAFETY: it touches only free memory.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
