//! What the views refuse: everything that would reach beyond the weights.
//!
//! These checks are all that stands between safe code and the kernels, so each of them
//! is tried, with every instruction set. Most refuse before any memory is touched, so
//! Miri, which takes seconds to unwind, has nothing to find in them.
#![cfg(not(miri))]

use std::panic::{AssertUnwindSafe, catch_unwind};

use asyn_core::shared::{AdamStep, Isa, SharedWeights};

const LEN: usize = 96;

/// Checks that `act` panics for the weights of every instruction set.
#[track_caller]
fn refused(act: impl Fn(&SharedWeights)) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        let weights = SharedWeights::with_isa(LEN, isa);
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&weights)));
        assert!(outcome.is_err(), "{isa} kernels let it pass");
    }
}

#[test]
fn views_lie_within_the_weights() {
    refused(|w| _ = w.view(0, LEN + 1));
    refused(|w| _ = w.view(LEN, 1));
    refused(|w| _ = w.view(LEN + 8, 0));
    refused(|w| _ = w.view(8, usize::MAX));
    refused(|w| _ = w.rows(0, 5, 24));
    refused(|w| _ = w.rows(0, usize::MAX / 4, 8));
    refused(|w| _ = w.rows(16, 3, usize::MAX - 7));
    refused(|w| _ = w.panels(0, 4, 17));
    refused(|w| _ = w.panels(0, usize::MAX / 2, 16));
    refused(|w| _ = w.panels(0, 1, usize::MAX - 32));
    let weights = SharedWeights::zeroed(LEN);
    assert_eq!(weights.view(LEN, 0).len(), 0);
    assert_eq!(weights.rows(LEN, 0, 24).n_rows(), 0);
    assert_eq!(weights.panels(0, 6, 16).n_padded(), 16);
}

#[test]
fn views_start_where_vectors_may() {
    refused(|w| _ = w.view(4, 8));
    refused(|w| _ = w.rows(8, 1, 16));
    refused(|w| _ = w.rows(0, 1, 12));
    refused(|w| _ = w.rows(0, 1, 0));
    refused(|w| _ = w.panels(8, 1, 16));
    refused(|w| _ = w.panels(0, 0, 16));
}

#[test]
fn contiguous_operations_take_values_of_their_length() {
    let (x, y) = ([0.0; 49], [0.0; 48]);
    refused(|w| _ = w.view(0, 48).get(48));
    refused(|w| w.view(0, 48).set(48, 1.0));
    refused(|w| w.view(0, 48).read_into(&mut [0.0; 49]));
    refused(|w| w.view(0, 48).read_into(&mut [0.0; 47]));
    refused(|w| w.view(0, 48).write_from(&x));
    refused(|w| _ = w.view(0, 48).dot(&x));
    refused(|w| w.view(0, 48).add_scaled(1.0, &x));
    refused(|w| w.view(0, 48).scale_add(1.0, 1.0, &x));
    refused(|w| w.view(0, 48).add_scaled_cas(1.0, &x));
    refused(|w| w.view(0, 48).scale_add_cas(1.0, 1.0, &x));
    refused(|w| w.view(0, 48).gather(None, &[48], &mut [0.0]));
    refused(|w| w.view(0, 48).gather(None, &[1, 2], &mut [0.0]));
    refused(|w| w.view(0, 48).gemv(&x[..8], &mut [0.0; 7]));
    refused(|w| w.view(0, 48).gemv_t(&x[..8], &mut [0.0; 7]));
    refused(|w| w.view(0, 48).merge(&w.view(48, 40), &mut [0.0; 48]));
    refused(|w| w.view(0, 48).merge(&w.view(48, 48), &mut [0.0; 49]));
    refused(|w| w.copy_from(&SharedWeights::zeroed(LEN + 1)));
    let weights = SharedWeights::zeroed(LEN);
    weights.view(0, 48).merge(&weights.view(48, 48), &mut y.clone());
}

#[test]
fn rows_take_their_own_ids_and_values_of_their_length() {
    let x = [1.0; 24];
    let ids = [0, 1, 4, 2, 3];
    // The id in the third place is not a row.
    for n in 3..=ids.len() {
        refused(|w| w.rows(0, 4, 24).sum_rows(&ids[..n], &mut [0.0; 24]));
        refused(|w| w.rows(0, 4, 24).copy_rows(&ids[..n], &mut vec![0.0; 24 * n]));
        refused(|w| w.rows(0, 4, 24).add_rows(&ids[..n], 1.0, &x));
        refused(|w| w.rows(0, 4, 24).add_rows_cas(&ids[..n], 1.0, &x));
        refused(|w| w.rows(0, 4, 24).blend_rows(&ids[..n], &x[..n], &x[..n], &x));
        refused(|w| w.rows(0, 4, 24).blend_rows_cas(&ids[..n], &x[..n], &x[..n], &x));
    }
    refused(|w| _ = w.rows(0, 4, 24).row(4));
    refused(|w| w.rows(0, 4, 24).sum_rows(&[u32::MAX], &mut [0.0; 24]));
    refused(|w| w.rows(0, 4, 24).sum_rows(&[0], &mut [0.0; 23]));
    refused(|w| w.rows(0, 4, 24).copy_rows(&[0], &mut [0.0; 23]));
    refused(|w| w.rows(0, 4, 24).add_rows(&[0], 1.0, &x[..23]));
    refused(|w| w.rows(0, 4, 24).add_rows_cas(&[0], 1.0, &x[..23]));
    refused(|w| w.rows(0, 4, 24).blend_rows(&[0, 1], &x[..1], &x[..2], &x));
    refused(|w| w.rows(0, 4, 24).blend_rows(&[0, 1], &x[..2], &x[..1], &x));
    refused(|w| w.rows(0, 4, 24).blend_rows(&[0], &x[..1], &x[..1], &x[..8]));
    refused(|w| w.rows(0, 4, 24).blend_rows_cas(&[0, 1], &x[..1], &x[..2], &x));
}

#[test]
fn products_take_matrices_of_their_shapes() {
    let (x, y) = ([0.0; 6], [0.0; 64]);
    for (x_len, y_len, t) in [(5, 64, 2), (6, 63, 2), (6, 40, 2), (6, 64, 1), (6, 64, 3)] {
        let (x, y) = (&x[..x_len], &y[..y_len]);
        refused(|w| w.panels(0, 3, 20).gemm(x, t, &mut y.to_vec()));
        refused(|w| w.panels(0, 3, 20).gemm_add(x, t, &mut y.to_vec()));
        refused(|w| w.panels(0, 3, 20).gemm_t(y, t, &mut x.to_vec()));
        refused(|w| w.panels(0, 3, 20).rank_update(1.0, x, y, t));
        let step = AdamStep {
            rate: 0.1,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            limit: 1e3,
            scale: 1.0,
        };
        refused(|w| {
            let w = w.panels(0, 3, 20);
            w.rank_adam_step([&w, &w], &step, x, y, t);
        });
    }
    refused(|w| w.panels(0, 2, 16).gemm(&[], 1 << 63, &mut []));
    let step =
        AdamStep { rate: 0.1, beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, limit: 1e3, scale: 1.0 };
    refused(|w| {
        let (w, smaller) = (w.panels(0, 3, 20), w.panels(0, 2, 20));
        w.rank_adam_step([&w, &smaller], &step, &x, &y, 2);
    });
}
