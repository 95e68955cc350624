//! Fixed memory of the table: zeroed, in huge pages where the kernel gives them, touched only as it is used.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Types of which all-zero octets are a value.
///
/// # Safety
/// Every bit pattern of zeros must be a valid value of the type, and it must need no drop.
#[expect(unsafe_code, reason = "the promise that makes zeroed memory a slice of values")]
pub(super) unsafe trait Zeroed: Copy {}

#[expect(unsafe_code, reason = "plain integers")]
// SAFETY: any bits are an integer.
unsafe impl Zeroed for u32 {}

#[expect(unsafe_code, reason = "plain integers")]
// SAFETY: FlowRecord holds integers and transparent integers only.
unsafe impl Zeroed for crate::meter::flow::FlowRecord {}

#[expect(unsafe_code, reason = "plain integers")]
// SAFETY: Bucket holds integers only.
unsafe impl Zeroed for super::Bucket {}

/// A slice of `T` that never moves or grows.
///
/// Invariants: `start` is aligned to at least 64 octets and points to `Self::octets(length)` octets of memory that this
/// value alone owns, zeroed when it was made.
pub(super) struct Region<T: Zeroed> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Zeroed> Region<T> {
    /// Octets of `length` values; `None` beyond the address space. Never 0.
    fn octets(length: usize) -> Option<usize> {
        length.max(1).checked_mul(size_of::<T>()).filter(|octets| isize::try_from(*octets).is_ok())
    }

    /// `length` zeroed values; `None` if the memory cannot be had.
    ///
    /// Mapped, not allocated: an allocator would write the zeros, and so touch pages long before they are needed.
    #[expect(unsafe_code, reason = "an anonymous mapping")]
    #[cfg(not(miri))]
    pub(super) fn new(length: usize) -> Option<Self> {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
        let octets = Self::octets(length)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address of the kernel's choice disturbs no other memory.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), octets, protection, MapFlags::PRIVATE) };
        let start = NonNull::new(start.ok()?)?;
        // SAFETY: the range is the mapping just made; the advice changes no contents. Its failure costs only speed.
        let _ = unsafe { madvise(start.as_ptr(), octets, Advice::LinuxHugepage) };
        Some(Self { start: start.cast(), length })
    }

    #[expect(unsafe_code, reason = "Miri knows no mappings")]
    #[cfg(miri)]
    pub(super) fn new(length: usize) -> Option<Self> {
        let layout = std::alloc::Layout::from_size_align(Self::octets(length)?, 64).ok()?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        Some(Self { start: start.cast(), length })
    }
}

impl<T: Zeroed> Deref for Region<T> {
    type Target = [T];

    #[expect(unsafe_code, reason = "the owned memory as a slice")]
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: by the type's invariants, and zeroed memory is valid T.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Zeroed> DerefMut for Region<T> {
    #[expect(unsafe_code, reason = "the owned memory as a slice")]
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: by the type's invariants, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T: Zeroed> Drop for Region<T> {
    #[expect(unsafe_code, reason = "gives the memory back")]
    fn drop(&mut self) {
        let Some(octets) = Self::octets(self.length) else { return };
        #[cfg(not(miri))]
        // SAFETY: mapped in `new` with this very size, and not given back before.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), octets) };
        #[cfg(miri)]
        // SAFETY: allocated in `new` with this very layout, and not given back before.
        unsafe {
            let layout = std::alloc::Layout::from_size_align_unchecked(octets, 64);
            std::alloc::dealloc(self.start.as_ptr().cast(), layout);
        }
    }
}

#[expect(unsafe_code, reason = "owned memory moves between threads as a Vec does")]
// SAFETY: the region is owned like a Vec<T>; T is plain data.
unsafe impl<T: Zeroed + Send> Send for Region<T> {}

/// Brings the cache line of `value` near before it is needed.
#[expect(unsafe_code, reason = "the prefetch instruction")]
#[inline(always)]
pub(in crate::meter::flow) fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing into the program; any address may be named, and this one is valid.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(value).cast(),
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}
