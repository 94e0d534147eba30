//! Numbers in 16 bits: IEEE 754 binary16, with 5 bits of exponent and 10 of fraction.

/// Returns the nearest number of 16 bits; of two as near, the one whose last bit is 0. Numbers
/// from 65,520 on become infinite.
#[allow(clippy::cast_possible_truncation, reason = "what is left are at most 16 bits")]
pub(crate) fn to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // 2⁻¹⁴ is the smallest number with a full fraction: 113 is its exponent as f32 has it.
    let half = if magnitude >= 113 << 23 {
        round(magnitude - (112 << 23), 13)
    } else {
        // Numbers below are multiples of 2⁻²⁴, the last bit of a fraction without exponent.
        let exponent = magnitude >> 23;
        let fraction = magnitude & 0x7f_ffff | 0x80_0000;
        round(fraction, (126 - exponent).min(31))
    };
    sign | half.min(0x7c00) as u16
}

/// Drops the last `n_bits` bits of a number, rounded to the nearest even one.
fn round(bits: u32, n_bits: u32) -> u32 {
    let kept = bits >> n_bits;
    let dropped = bits & ((1 << n_bits) - 1);
    let half = 1 << (n_bits - 1);
    kept + u32::from(dropped > half || (dropped == half && kept & 1 == 1))
}

/// Returns a number of 16 bits as it is.
pub(crate) fn from_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // Multiples of 2⁻²⁴.
        0 => {
            #[allow(clippy::cast_precision_loss, reason = "ten bits")]
            let number = fraction as f32 / (1 << 24) as f32;
            number.to_bits()
        }
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_16_bits_comes_back() {
        for half in 0..=u16::MAX {
            let number = from_half(half);
            if number.is_nan() {
                assert!(from_half(to_half(number)).is_nan());
            } else {
                assert_eq!(to_half(number), half, "{number}");
            }
        }
        assert_eq!(
            (from_half(0x3c00), from_half(0xc000), from_half(1)),
            (1.0, -2.0, 2f32.powi(-24))
        );
    }

    #[test]
    fn numbers_go_to_the_nearest() {
        for half in 0..0x7bff {
            let (low, high) = (from_half(half), from_half(half + 1));
            let middle = (low + high) / 2.0;
            assert_eq!(to_half(middle), half + half % 2, "{middle} goes to the even one");
            assert_eq!(to_half(f32::from_bits(middle.to_bits() - 1)), half);
            assert_eq!(to_half(f32::from_bits(middle.to_bits() + 1)), half + 1);
        }
        assert_eq!(to_half(65_519.0), 0x7bff);
        assert_eq!(
            (to_half(65_520.0), to_half(f32::INFINITY), to_half(1e38)),
            (0x7c00, 0x7c00, 0x7c00)
        );
        assert_eq!((to_half(1e-30), to_half(-0.0)), (0, 0x8000));
    }
}
