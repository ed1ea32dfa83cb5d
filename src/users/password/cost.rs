//! What hashing with argon2 costs, and how much of that is too much.

/// In KiB.
const MOST_MEMORY: u32 = 128 * 1024;
/// In KiB times passes.
const MOST_WORK: u64 = 1024 * 1024;
const MOST_LANES: u32 = 16;

/// What one argon2 hash costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argon2Cost {
    /// KiB of memory, `m`.
    pub memory: u32,
    /// Passes over it, `t`.
    pub passes: u32,
    /// Lanes, `p`. They are worked on one after the other.
    pub lanes: u32,
}

impl Argon2Cost {
    /// OWASP's recommendation: 19 MiB, two passes.
    pub const DEFAULT: Self = Self { memory: 19 * 1024, passes: 2, lanes: 1 };

    /// Whether it can be worked with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self) -> Result<(), &'static str> {
        let Self { memory, passes, lanes } = self;
        if passes == 0 || lanes == 0 || lanes > MOST_LANES || memory < lanes * 8 {
            return Err("it has no pass, no lane or more than 16, or less than 8 KiB a lane");
        }
        if memory > MOST_MEMORY {
            return Err("it takes more than 128 MiB");
        }
        if u64::from(memory) * u64::from(passes) > MOST_WORK {
            return Err("its memory times its passes is more than 1 GiB");
        }
        Ok(())
    }

    /// Whether `self` asks for more than `other` in any respect.
    pub(super) const fn exceeds(self, other: Self) -> bool {
        self.memory > other.memory || self.passes > other.passes
    }
}
