//! Operations on lists of rows: the same as the operations on rows, list by list.

use std::panic::{AssertUnwindSafe, catch_unwind};

use asyn_core::shared::{Isa, Lists, SharedWeights};

const N_ROWS: usize = 9;
/// The rows that a replica has.
const N_HOT: usize = 4;
/// Lists of ids: ordinary ones, an empty one, one with a repeated id.
const IDS: [u32; 12] = [0, 3, 4, 8, 5, 5, 1, 2, 6, 7, 8, 0];
const OFFSETS: [u32; 6] = [0, 4, 4, 6, 7, 12];
const N_LISTS: usize = OFFSETS.len() - 1;

fn supported() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_supported())
}

/// Weights whose values depend on `seed`: halves and quarters, so that sums are exact.
fn weights(isa: Isa, n_rows: usize, stride: usize, seed: usize) -> SharedWeights {
    let mut weights = SharedWeights::with_isa(n_rows * stride, isa);
    for (i, weight) in weights.as_mut_slice().iter_mut().enumerate() {
        *weight = ((i + seed) * 7 % 31) as f32 * 0.25 - 3.0;
    }
    weights
}

/// Calls `test` with a table and with a replica of its first rows, or none.
fn for_each_table(test: impl Fn(&SharedWeights, Option<&SharedWeights>, usize)) {
    for isa in supported() {
        let strides: &[usize] = if cfg!(miri) { &[16, 24] } else { &[8, 16, 24, 32, 72, 80] };
        for &stride in strides {
            let hot = weights(isa, N_HOT, stride, 5);
            test(&weights(isa, N_ROWS, stride, 0), None, stride);
            test(&weights(isa, N_ROWS, stride, 0), Some(&hot), stride);
        }
    }
}

/// Applies `by_row` to each list and id, and returns the table and the replica after it.
fn expected(
    table: &SharedWeights,
    hot: Option<&SharedWeights>,
    stride: usize,
    by_row: impl Fn(usize, usize, &mut [f32]),
) -> (Vec<f32>, Vec<f32>) {
    let mut table = table.to_vec();
    let mut hot_values = hot.map(SharedWeights::to_vec).unwrap_or_default();
    for i in 0..N_LISTS {
        let range = OFFSETS[i] as usize..OFFSETS[i + 1] as usize;
        for (at, &id) in range.clone().zip(&IDS[range]) {
            let id = id as usize;
            let values = if id < hot_values.len() / stride { &mut hot_values } else { &mut table };
            by_row(i, at, &mut values[id * stride..][..stride]);
        }
    }
    (table, hot_values)
}

#[test]
fn lists_are_summed_from_the_replica_where_it_has_the_row() {
    for_each_table(|table, hot, stride| {
        let width = stride + 3;
        let mut sums = vec![0.0; N_LISTS * width];
        let mut out = vec![f32::NAN; N_LISTS * width];
        let (table_values, hot_values) = (table.to_vec(), hot.map(SharedWeights::to_vec));
        for i in 0..N_LISTS {
            for &id in &IDS[OFFSETS[i] as usize..OFFSETS[i + 1] as usize] {
                let hot_values = hot_values.as_ref().filter(|_| (id as usize) < N_HOT);
                let row = &hot_values.unwrap_or(&table_values)[id as usize * stride..][..stride];
                for (sum, w) in sums[i * width..].iter_mut().zip(row) {
                    *sum += w;
                }
            }
        }
        let hot = hot.map(|hot| hot.rows(0, N_HOT, stride));
        let rows = table.rows(0, N_ROWS, stride);
        rows.sum_lists(hot.as_ref(), Lists::new(&IDS, &OFFSETS), &mut out, width);
        for (out, sum) in out.chunks(width).zip(sums.chunks(width)) {
            assert_eq!(out[..stride], sum[..stride]);
            assert!(out[stride..].iter().all(|gap| gap.is_nan()), "a gap was written");
        }
    });
}

#[test]
fn lists_are_added_to_and_blended_where_the_row_is() {
    for_each_table(|table, hot, stride| {
        let values: Vec<f32> = (0..N_LISTS * stride).map(|i| (i % 13) as f32 * 0.5).collect();
        let scales = [1.0, 2.0, 0.5, 4.0, 1.0];
        let (keep, rate) = (IDS.map(|id| (id % 3) as f32 * 0.5), IDS.map(|id| (id % 2) as f32));
        let lists = Lists::new(&IDS, &OFFSETS);
        let hot_rows = hot.map(|hot| hot.rows(0, N_HOT, stride));
        let rows = table.rows(0, N_ROWS, stride);
        for by_exchange in [false, true] {
            let added = expected(table, hot, stride, |i, _, row| {
                for (w, x) in row.iter_mut().zip(&values[i * stride..]) {
                    *w += 0.5 * scales[i] * x;
                }
            });
            if by_exchange {
                rows.add_lists_cas(hot_rows.as_ref(), lists, 0.5, &scales, &values);
            } else {
                rows.add_lists(hot_rows.as_ref(), lists, 0.5, &scales, &values);
            }
            assert_eq!(table.to_vec(), added.0);
            assert_eq!(hot.map(SharedWeights::to_vec).unwrap_or_default(), added.1);

            let blended = expected(table, hot, stride, |i, at, row| {
                for (w, x) in row.iter_mut().zip(&values[i * stride..]) {
                    *w = keep[at] * *w + rate[at] * x;
                }
            });
            if by_exchange {
                rows.blend_lists_cas(hot_rows.as_ref(), lists, &keep, &rate, &values);
            } else {
                rows.blend_lists(hot_rows.as_ref(), lists, &keep, &rate, &values);
            }
            assert_eq!(table.to_vec(), blended.0);
            assert_eq!(hot.map(SharedWeights::to_vec).unwrap_or_default(), blended.1);
        }
    });
}

/// Checks that `act` panics for a table of every instruction set.
#[track_caller]
fn refused(act: impl Fn(&SharedWeights)) {
    for isa in supported() {
        let table = weights(isa, N_ROWS, 24, 0);
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&table)));
        assert!(outcome.is_err(), "{isa} kernels let it pass");
    }
}

#[test]
fn what_would_leave_the_rows_or_the_sums_is_refused() {
    let lists = Lists::new(&IDS, &OFFSETS);
    refused(|_| _ = Lists::new(&IDS, &[]));
    refused(|_| _ = Lists::new(&IDS, &[0, 13]));
    let sum = |w: &SharedWeights, n_rows, lists: Lists<'_>, n_out, width| {
        w.rows(0, n_rows, 24).sum_lists(None, lists, &mut vec![0.0; n_out], width);
    };
    refused(|w| sum(w, 8, lists, 5 * 24, 24));
    refused(|w| sum(w, 9, lists, 5 * 24 - 1, 24));
    refused(|w| sum(w, 9, lists, 5 * 24, 23));
    refused(|w| sum(w, 9, Lists::new(&IDS, &[0, 20, 4]), 48, 24));
    refused(|w| sum(w, 9, Lists::new(&IDS, &[4, 2]), 24, 24));
    // Four lists of 2^62 floats are 2^64, which a product of words cannot hold.
    refused(|w| sum(w, 9, Lists::new(&IDS, &[0, 1, 2, 3, 4]), 8, 1 << 62));
    let hot = SharedWeights::zeroed(4 * 16);
    let (hot, x) = (hot.rows(0, 4, 16), [1.0; 5 * 24]);
    refused(|w| w.rows(0, 9, 24).sum_lists(Some(&hot), lists, &mut [0.0; 120], 24));
    refused(|w| w.rows(0, 9, 24).add_lists(None, lists, 1.0, &x[..4], &x));
    refused(|w| w.rows(0, 9, 24).add_lists(None, lists, 1.0, &x[..5], &x[1..]));
    refused(|w| w.rows(0, 8, 24).add_lists(None, lists, 1.0, &x[..5], &x));
    refused(|w| w.rows(0, 9, 24).blend_lists(None, lists, &x[..11], &x[..12], &x));
    refused(|w| w.rows(0, 9, 24).blend_lists(None, lists, &x[..12], &x[..11], &x));
    refused(|w| w.rows(0, 8, 24).blend_lists(None, lists, &x[..12], &x[..12], &x));
}
