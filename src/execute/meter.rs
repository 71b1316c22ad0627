// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What one statement holds of the memory that all statements share.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnv;

/// Counts what a statement reserves, on the way to the pool that gives it.
#[derive(Debug, Default)]
pub struct Meter {
    used: AtomicUsize,
    peak: AtomicUsize,
    pool: OnceLock<Arc<dyn MemoryPool>>,
}

impl Meter {
    /// How many bytes are reserved now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The runtime with this meter before its pool; everything else is shared.
    pub(super) fn runtime(self: &Arc<Self>, runtime: &RuntimeEnv) -> Arc<RuntimeEnv> {
        // A meter belongs to one statement, and so to one pool.
        let pool = self.pool.get_or_init(|| Arc::clone(&runtime.memory_pool));
        Arc::new(RuntimeEnv {
            memory_pool: Arc::new(Metered { meter: Arc::clone(self), pool: Arc::clone(pool) }),
            disk_manager: Arc::clone(&runtime.disk_manager),
            cache_manager: Arc::clone(&runtime.cache_manager),
            object_store_registry: Arc::clone(&runtime.object_store_registry),
        })
    }

    fn add(&self, bytes: usize) {
        let now = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Metered {
    meter: Arc<Meter>,
    pool: Arc<dyn MemoryPool>,
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.pool, f)
    }
}

impl MemoryPool for Metered {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.meter.add(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
        self.meter.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(
        &self,
        reservation: &MemoryReservation,
        additional: usize,
    ) -> Result<(), DataFusionError> {
        self.pool.try_grow(reservation, additional)?;
        self.meter.add(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    #[test]
    fn a_meter_counts_its_own_statement_and_the_pool_all() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1_000));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc();
        let runtime = runtime.expect("builds");
        let (one, two) = (Arc::new(Meter::default()), Arc::new(Meter::default()));
        let reserve = |meter: &Arc<Meter>, bytes| {
            let reservation =
                MemoryConsumer::new("test").register(&meter.runtime(&runtime).memory_pool);
            reservation.try_grow(bytes).map(|()| reservation)
        };
        let first = reserve(&one, 300).expect("fits");
        let second = reserve(&two, 500).expect("fits");
        assert!(reserve(&one, 300).is_err(), "the pool is shared");
        assert_eq!((one.used(), two.used(), pool.reserved()), (300, 500, 800));
        drop((first, second));
        assert_eq!((one.used(), one.peak(), pool.reserved()), (0, 300, 0));
    }
}
