//! The instruction set that the kernels use, chosen once.

use std::fmt;
use std::sync::OnceLock;

/// The environment variable that overrides the choice.
const VARIABLE: &str = "ASYN_KERNELS";

/// An instruction set for which kernels exist.
///
/// ```
/// use asyn_core::shared::Isa;
///
/// assert!(Isa::Portable.is_supported());
/// assert_eq!(Isa::Avx512.to_string(), "avx512");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Relaxed scalar atomics; every machine, no assumption beyond the language.
    Portable,
    /// 32-byte accesses and fused multiply-add on x86-64.
    Avx2,
    /// 64-byte accesses on x86-64.
    Avx512,
    /// Pairs of 16-byte accesses on AArch64.
    Neon,
}

impl Isa {
    /// All instruction sets, the one to prefer last.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Neon];

    /// Returns whether this build has the kernels and this processor can run them.
    ///
    /// Under Miri and with the feature `portable` only [`Isa::Portable`] is supported.
    #[must_use]
    pub fn is_supported(self) -> bool {
        let scalar_only = cfg!(any(miri, feature = "portable"));
        match self {
            Self::Portable => true,
            Self::Avx2 => !scalar_only && cpu_has_avx2(),
            Self::Avx512 => !scalar_only && cpu_has_avx512(),
            Self::Neon => !scalar_only && cfg!(target_arch = "aarch64"),
        }
    }

    /// Returns the supported instruction set with the widest vectors.
    fn best() -> Self {
        let supported = Self::ALL.into_iter().rfind(|isa| isa.is_supported());
        supported.unwrap_or(Self::Portable)
    }

    /// Returns the name, as printed and as read from `ASYN_KERNELS`.
    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Returns the instruction set of this process.
///
/// It is the best that the processor has, unless the environment variable
/// `ASYN_KERNELS` names another supported one when this is first called.
#[must_use]
pub fn isa() -> Isa {
    choice().0
}

/// A computation on private memory that wider vectors make faster.
pub(crate) trait Vectorised: Sized {
    /// Computes. Implementations are `#[inline(always)]`, as is whatever is to profit, so that it
    /// becomes part of a function that has the instruction set enabled.
    fn compute(self);

    /// Computes with the instruction set of this process. The result is the same for every set:
    /// the compiler fuses no operations.
    #[inline]
    fn run(self) {
        #[cfg(target_arch = "x86_64")]
        match isa() {
            // SAFETY: `isa` returns only sets that the processor has.
            Isa::Avx512 => return unsafe { with_avx512(self) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { with_avx2(self) },
            Isa::Portable | Isa::Neon => {}
        }
        self.compute();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn with_avx512(computation: impl Vectorised) {
    computation.compute();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(computation: impl Vectorised) {
    computation.compute();
}

/// Returns the instruction set of this process, or why the one asked for is not used.
///
/// # Errors
///
/// A sentence, if `ASYN_KERNELS` names a set that is unknown or not supported here.
/// The kernels then use the best supported set, as if nothing had been asked.
pub fn isa_request() -> Result<Isa, String> {
    match &choice().1 {
        None => Ok(isa()),
        Some(refusal) => Err(refusal.clone()),
    }
}

/// The choice and, where a request was not followed, the reason.
fn choice() -> &'static (Isa, Option<String>) {
    static CHOICE: OnceLock<(Isa, Option<String>)> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let request = std::env::var_os(VARIABLE);
        choose(request.map(|value| value.to_string_lossy().into_owned()).as_deref())
    })
}

fn choose(request: Option<&str>) -> (Isa, Option<String>) {
    let best = Isa::best();
    let Some(name) = request.filter(|name| !name.is_empty()) else {
        return (best, None);
    };
    let known = Isa::ALL.into_iter().find(|isa| isa.name() == name);
    let refusal = match known {
        Some(isa) if isa.is_supported() => return (isa, None),
        Some(_) => {
            format!("{VARIABLE}={name} is not supported by this build or processor, using {best}")
        }
        None => {
            format!("{VARIABLE}={name} is not one of portable, avx2, avx512, neon, using {best}")
        }
    };
    (best, Some(refusal))
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_avx512() -> bool {
    cpu_has_avx2()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_avx512() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_means_the_best() {
        assert_eq!(choose(None), (Isa::best(), None));
        assert_eq!(choose(Some("")), (Isa::best(), None));
    }

    #[test]
    fn a_supported_request_is_followed() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
            assert_eq!(choose(Some(isa.name())), (isa, None));
        }
    }

    #[test]
    fn a_request_that_cannot_be_followed_is_reported() {
        let (isa, refusal) = choose(Some("sse9"));
        assert_eq!(isa, Isa::best());
        assert!(refusal.expect("a refusal").contains("sse9"));
        for other in Isa::ALL.into_iter().filter(|isa| !isa.is_supported()) {
            let (isa, refusal) = choose(Some(other.name()));
            assert_eq!(isa, Isa::best());
            assert!(refusal.expect("a refusal").contains(other.name()));
        }
    }

    #[test]
    fn names_are_padded_like_text() {
        assert_eq!(format!("{:>8}", Isa::Avx2), "    avx2");
    }
}
