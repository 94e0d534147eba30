//! The costs at which a simulation takes as long as the machine.

use asyn::core::simulate::{CostModel, Simulated};
use asyn::core::{AsynGrad, Serial, SharedWeights};

use super::lab::{Lab, Layout};
use crate::failure::Failure;

/// The largest cost of a miss that is looked for, in nanoseconds.
const MOST: f64 = 400.0;
/// Halvings of the interval of costs: to about 3 ns.
const HALVINGS: u32 = 7;

/// Fitted costs, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    base: CostModel,
    pub(crate) compute: f64,
    pub(crate) miss: f64,
    /// False where there was nothing to fit the cost of a miss to, and it is the default.
    pub(crate) miss_is_fitted: bool,
}

impl Costs {
    pub(crate) fn model(&self) -> CostModel {
        CostModel { compute: self.compute, miss: self.miss, ..self.base }
    }
}

/// Fits the computation to the seconds of one worker, and then a miss to those of two.
///
/// One worker never misses and its time is linear in `compute`; the time of two grows with
/// `miss`, which is found by halving.
pub(crate) fn fit(
    few: &Lab,
    start: &SharedWeights,
    one: f64,
    two: Option<f64>,
) -> Result<Costs, Failure> {
    let base = few.costs();
    let idle = CostModel { compute: 0.0, ..base };
    let simulated = Simulated::new(Serial, idle).map_err(asyn::Error::from)?;
    let counted = few.simulated(&simulated, Layout::plain(1), start)?;
    let compute = 1e9 * (one - counted.seconds) / counted.loads.max(1) as f64;
    let compute = compute.max(0.0);
    let Some(two) = two else {
        return Ok(Costs { base, compute, miss: base.miss, miss_is_fitted: false });
    };
    let (mut low, mut high) = (0.0, MOST);
    for _ in 0..HALVINGS {
        let miss = f64::midpoint(low, high);
        let cost = CostModel { compute, miss, ..base };
        let simulated = Simulated::new(AsynGrad, cost).map_err(asyn::Error::from)?;
        let counted = few.simulated(&simulated, Layout::plain(2), start)?;
        if counted.seconds > two {
            high = miss;
        } else {
            low = miss;
        }
    }
    Ok(Costs { base, compute, miss: f64::midpoint(low, high), miss_is_fitted: true })
}
